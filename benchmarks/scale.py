"""How a run behaves as it grows: what one iteration costs, what opening and resuming it takes.

    python benchmarks/scale.py [PROGRAMS ...] [--folder DIR]

A database is filled in bulk with so many programs of one run (1 kB of source, an evaluation of two
cases and a proposal each; every twentieth enters the map), as a run would have left them. Then the
engine's own parts resume it, and 300 iterations are timed: draw (selection and inspirations,
individuals read from the store), begin, add the program, and commit its evaluation with the
archive. Memory is the resident size of the process that does so. A million programs take about
3 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import Table, insert

from evolve.archive.selection import SELECTORS
from evolve.archive.spec import ArchiveSpec
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.engine.draw import draw, redraw
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.population import Policy, Population
from evolve.engine.restore import restore
from evolve.engine.stop import Counters
from evolve.propose.base import Candidate, Context, Individual, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store import schema
from evolve.store.reader import open_reader
from evolve.store.records import NewRun
from evolve.store.store import open_store
from evolve.store.text import pack

SIZES = (1_000, 10_000, 100_000)
ITERATIONS = 300
BATCH = 10_000
VERSION = "e" * 64
MEASURES = (Measure("a", 0.0, 1.0, 40), Measure("b", 0.0, 1.0, 40))
OBJECTIVE = Objective("value")


def source(number: int) -> str:
    return f"# EVOLVE-BLOCK-START\nx = {number}\n# EVOLVE-BLOCK-END\n" + f"# {number:060d}\n" * 15


class Nothing:
    """An operator that is drawn but does nothing."""

    name = "bulk"
    arbitrary_code = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Propose nothing."""
        return Rejected("empty", f"program {context.parent.id} stays as it is")


def score_of(number: int) -> Score:
    rng = np.random.default_rng(number)
    a, b, value = rng.random(3)
    return Score(float(value), {"a": float(a), "b": float(b)})


def rows(run_id: int, numbers: range) -> Iterator[tuple[Table, list[dict[str, object]]]]:
    """Yield what one batch adds to each table; program, blob and evaluation n have the id n."""
    packed = [pack(source(number)) for number in numbers]
    scores = [score_of(number) for number in numbers]
    times = [1e9 + number for number in numbers]
    yield (
        schema.blobs,
        [{"id": n, **each._asdict()} for n, each in zip(numbers, packed, strict=True)],
    )
    yield (
        schema.proposals,
        [
            {
                "id": n, "run_id": run_id, "iteration": n - 2, "operator": "bulk", "model": "",
                "island": 0, "parents": [max(n // 2, 1)], "inspirations": [],
                "status": "evaluated", "reason": "", "message": "", "created_at": at,
                "ended_at": at,
            }
            for n, at in zip(numbers, times, strict=True) if n > 1
        ],
    )  # fmt: skip
    yield (
        schema.programs,
        [
            {
                "id": n, "run_id": run_id, "hash": Program({"main.py": source(n)}).id,
                "syntax": f"{n:064x}",
                "proposal_id": None if n == 1 else n, "operator": "seed" if n == 1 else "bulk",
                "generation": n.bit_length(), "island": 0, "summary": "", "created_at": at,
            }
            for n, at in zip(numbers, times, strict=True)
        ],
    )  # fmt: skip
    yield (
        schema.program_files,
        [{"program_id": n, "path": "main.py", "blob": n} for n in numbers],
    )
    yield (
        schema.parents,
        [{"program_id": n, "position": 0, "parent_id": n // 2} for n in numbers if n > 1],
    )
    common = {"outcome": "ok", "metrics": {}, "message": "", "wall_ns": 0, "cpu_ns": 0,
              "peak_memory_bytes": 0}  # fmt: skip
    yield (
        schema.evaluations,
        [
            {
                **common, "id": n, "run_id": run_id, "program_id": n, "stage": "search",
                "evaluator": VERSION, "objective": s.objective, "measures": dict(s.measures),
                "elapsed_s": at - 1e9, "created_at": at,
            }
            for n, s, at in zip(numbers, scores, times, strict=True)
        ],
    )  # fmt: skip
    yield (
        schema.case_results,
        [
            {
                **common, "evaluation_id": n, "position": case, "name": f"case {case}",
                "objective": s.objective, "measures": dict(s.measures),
            }
            for n, s in zip(numbers, scores, strict=True) for case in range(2)
        ],
    )  # fmt: skip
    yield (
        schema.archive_events,
        [
            {
                "run_id": run_id, "evaluation_id": n, "program_id": n, "replaced_id": None,
                "island": 0, "cell": 0, "status": "new", "fitness": s.objective,
                "measures": dict(s.measures),
            }
            for n, s in zip(numbers, scores, strict=True) if n == 1 or n % 20 == 0
        ],
    )  # fmt: skip


def fill(path: Path, size: int) -> None:
    """Write a run of so many programs in bulk."""
    with open_store(str(path)) as store:
        run_id = store.create_run(
            NewRun(
                name="scale",
                problem="none",
                seed=0,
                config_json="{}",
                config_hash="c",
                problem_hash=VERSION,
                evaluator_ref="none",
                provenance={},
                objective=OBJECTIVE,
                measures=MEASURES,
            ),
            ArchiveSpec(MEASURES),
        ).id
        for start in range(1, size + 1, BATCH):
            with store._database.write() as connection:
                for table, values in rows(run_id, range(start, min(start + BATCH, size + 1))):
                    if values:
                        connection.execute(insert(table), values)
        with store._database.write() as connection:
            connection.exec_driver_sql("ANALYZE")


def measure(path: Path) -> dict[str, float]:
    """Resume the run of a database and iterate; return seconds and bytes by name."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    with open_store(str(path)) as store:
        store.claim(1, "scale")
        portfolio = Portfolio((Nothing(),), (1.0,))
        history = History(portfolio.proposers)

        def load(number: int) -> Individual:
            found = store.individual(number, VERSION)
            return Individual(found.id, found.program, found.evaluation, found.generation)

        population = Population(
            load, ArchiveSpec(MEASURES), OBJECTIVE, Policy(SELECTORS["mixed"]())
        )
        journal = Journal(store, 1, population, Counters(), lambda _: None, (history.tell,))
        begun = time.perf_counter()
        unfinished = restore(
            journal, history, VERSION, lambda p: redraw(0, p, portfolio, population, history)
        )
        seconds["restore"] = time.perf_counter() - begun
        seconds["open to ready"] = time.perf_counter() - started
        seconds |= iterate(journal, portfolio, history, unfinished.next_iteration)
        seconds["resident_bytes"] = resident()
        store.release(1, "interrupted", "measured")
    with open_reader(str(path)) as reader:
        for name, call in {
            "show: totals": lambda: reader.totals(1),
            "show: best": lambda: reader.best(1),
            "show: progress": lambda: reader.progress(1),
            "show: failures": lambda: reader.failures(1),
        }.items():
            seconds[name] = timed(call)
    return seconds


def iterate(
    journal: Journal, portfolio: Portfolio, history: History, first: int
) -> dict[str, float]:
    """Return the median seconds of each step of an iteration."""
    steps: dict[str, list[float]] = {"draw": [], "begin": [], "admit": [], "record": []}
    for iteration in range(first, first + ITERATIONS):
        number = 10**8 + iteration
        at = [time.perf_counter()]
        drawn = draw(0, iteration, portfolio, journal.population, history)
        at.append(time.perf_counter())
        proposal = journal.begin(iteration, drawn)
        at.append(time.perf_counter())
        program = Program({"main.py": source(number)})
        pending = journal.admit(proposal, Candidate(program, (drawn.parent.id,)))
        assert isinstance(pending, Pending)
        at.append(time.perf_counter())
        score = score_of(number)
        cases = tuple(CaseResult(f"case {case}", Outcome.OK, score) for case in range(2))
        evaluation = Evaluation(Outcome.OK, score, cases=cases, evaluator=VERSION)
        journal.record(Judged(pending, evaluation))
        at.append(time.perf_counter())
        for step, took in zip(steps.values(), np.diff(at), strict=True):
            step.append(float(took))
    return {name: float(np.median(took)) for name, took in steps.items()}


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where databases are made")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    for size in options.programs:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / "scale.db"
            filled = timed(lambda path=path, size=size: fill(path, size))  # type: ignore[misc]
            print(f"{size} programs, {path.stat().st_size / 1e6:.0f} MB, filled in {filled:.0f} s")
            # In a process of its own, so that its memory is that of a resumed run alone.
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            for name, value in json.loads(done.stdout).items():
                if name == "resident_bytes":
                    print(f"  memory: {value / 2**20:.0f} MiB")
                elif value < 1:
                    print(f"  {name}: {value * 1e3:.2f} ms")
                else:
                    print(f"  {name}: {value:.1f} s")


if __name__ == "__main__":
    main()
