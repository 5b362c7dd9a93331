"""What the store costs per program, and how that changes as a run grows.

    python benchmarks/store_commit.py [PROGRAMS ...]

For each size: a run is filled with so many programs (3 kB of source, a 10 kB prompt, a reply and
an evaluation of 4 cases each), then 500 whole cycles and the usual questions are timed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.store.calls import TokenCounts
from evolve.store.reader import open_reader
from evolve.store.records import ArchiveEvent, NewRun
from evolve.store.store import Store, open_store

SIZES = (1_000, 10_000, 100_000)
CYCLES = 500
WORDS = np.array(["while", "fox", "return", "lazy", "dog", "for", "x", "y", "if", "the", "jumps"])


@dataclass(frozen=True)
class Reply:
    """A model's reply."""

    text: str
    finish: str = "stop"
    tokens: TokenCounts = TokenCounts(2000, 0, 500, 0)  # noqa: RUF009 - immutable
    latency_s: float = 1.0
    model: str = "sample"


class Filler:
    """Takes proposals through the store, timing the two commits that every program needs."""

    def __init__(self, store: Store, run: int) -> None:
        self.store, self.run = store, run
        self.rng = np.random.default_rng(0)
        self.statement = self.prose(10_000)
        self.add_s: list[float] = []
        self.commit_s: list[float] = []
        self.call_s: list[float] = []

    def prose(self, characters: int) -> str:
        """Return text that compresses about as well as source code does."""
        return " ".join(self.rng.choice(WORDS, characters // 5))[:characters]

    def cycle(self, number: int) -> None:
        """Take one proposal from its beginning to its evaluation."""
        source = f"x = {number}\n{self.prose(3000)}"
        score = Score(self.rng.normal(), {"length": 3.0}, {"time": 1.0}, "case 2 is the worst")
        cases = tuple(CaseResult(f"case {i}", Outcome.OK, score) for i in range(4))
        evaluation = Evaluation(Outcome.OK, score, cases=cases, evaluator="e" * 64)
        start = time.perf_counter()
        proposal = self.store.begin_proposal(self.run, number, "diff", 0, [max(number, 1)], [])
        prompt = f"{number} {self.statement}"
        call = self.store.send_completion(proposal, "openai/sample", prompt, {}, 0.01)
        self.store.receive_completion(call, Reply(source), 0.001)
        called = time.perf_counter()
        added = self.store.add_program(
            self.run,
            Program({"main.py": source}),
            proposal_id=proposal,
            parent_ids=[number] if number else [],
            generation=number % 50,
            operator="diff",
            summary="changed x",
        )
        program_id = added.id
        middle = time.perf_counter()
        event = ArchiveEvent(program_id, 0, number % 400, "new", score.objective, score.measures)
        self.store.commit_evaluation(program_id, evaluation, [event] if number % 20 == 0 else [])
        end = time.perf_counter()
        self.call_s.append(called - start)
        self.add_s.append(middle - called)
        self.commit_s.append(end - middle)


RUN = NewRun(
    name="benchmark",
    problem="none",
    seed=0,
    config_json="{}",
    config_hash="c",
    problem_hash="p",
    evaluator_ref="none",
    provenance={},
    objective=Objective("x"),
    measures=(Measure("length", 0, 10, 400),),
)


def measure(path: Path, size: int) -> None:
    with open_store(str(path)) as store:
        run_id = store.create_run(RUN).id
        store.claim(run_id, "benchmark")
        filler = Filler(store, run_id)
        started = time.perf_counter()
        for number in range(size):
            filler.cycle(number)
        rate = size / (time.perf_counter() - started)
        filler.add_s, filler.commit_s, filler.call_s = [], [], []
        for number in range(size, size + CYCLES):
            filler.cycle(number)
        print(f"{size} programs, {path.stat().st_size / 1e6:.0f} MB, filled at {rate:.0f}/s")
        report("proposal, prompt and reply (3 commits)", filler.call_s)
        report("add_program", filler.add_s)
        report("commit_evaluation", filler.commit_s)
        both = np.add(filler.add_s, filler.commit_s)
        print(f"  add + commit: {1 / both.mean():.0f} programs/s")
    timed("open, claim and recover", lambda: resume(path, run_id))
    with open_reader(str(path)) as reader:
        timed("archive_events", lambda: reader.archive_events(run_id))
        timed("totals", lambda: reader.totals(run_id))
        timed("best", lambda: reader.best(run_id))
        timed("leaderboard of 50", lambda: reader.leaderboard(run_id, 50))
        timed("newest 50 programs", lambda: reader.programs(run_id, newest_first=True, limit=50))
        timed("one program with everything", lambda: reader.program(max(size // 2, 1)))
        timed("lineage (all ancestors)", lambda: reader.lineage(min(size, 1000)))
        timed("progress", lambda: reader.progress(run_id))
        timed("failures", lambda: reader.failures(run_id))
        timed("spending by outcome", lambda: reader.spending(run_id, "outcome"))


def resume(path: Path, run_id: int) -> None:
    with open_store(str(path)) as store:
        store.claim(run_id, "benchmark")
        store.recover(run_id)


def report(name: str, seconds: list[float]) -> None:
    middle, late = np.percentile(seconds, [50, 99]) * 1e3
    print(f"  {name}: median {middle:.2f} ms, p99 {late:.2f} ms")


def timed(name: str, call: Callable[[], object]) -> None:
    """Print the best of three calls."""
    best = min(_seconds(call) for _ in range(3))
    print(f"  {name}: {best * 1e3:.1f} ms")


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    for programs in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "evolve.db", programs)
