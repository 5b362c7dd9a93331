"""How a run behaves as it grows: what one iteration costs, what opening and resuming it takes.

    python -m benchmarks.scale [PROGRAMS ...] [--folder DIR]

A database is filled in bulk with so many programs of one run, 1 kB of source and an evaluation of
two cases each, as a run would have left them (`benchmarks/filled.py`). Then the engine's own parts
resume it, and 300 iterations are timed: draw (selection and inspirations, individuals read from the
store), begin, add the program, and commit its evaluation with the archive. Memory is the peak
resident size of the process that does so. At last `evolve ls`, `show`, `best`, `heatmap` and
`remap` are run as commands. All times are CPU time, so that what else the machine does counts
little.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.filled import (
    MEASURES,
    OBJECTIVE,
    VERSION,
    evaluation_of,
    fill,
    source,
)
from evolve.archive.selection import SELECTORS
from evolve.archive.spec import ArchiveSpec
from evolve.core.program import Program
from evolve.engine.draw import draw, redraw
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.population import Policy, Population
from evolve.engine.restore import restore
from evolve.engine.stop import Counters
from evolve.propose.base import Candidate, Context, Individual, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store.store import open_store

SIZES = (1_000, 10_000, 100_000)
ITERATIONS = 300
MAIN = "from evolve.cli.app import main; main()"
COMMANDS = {
    "evolve ls": "ls",
    "evolve show": "show",
    "evolve best": "best",
    "evolve heatmap": "heatmap",
    "evolve remap": "remap --measure a:0:1:20 --measure b:0:1:20",
}


class Nothing:
    """An operator that is drawn but does nothing."""

    name = "bulk"
    arbitrary_code = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Propose nothing."""
        return Rejected("empty", f"program {context.parent.id} stays as it is")


def measure(path: Path) -> dict[str, float]:
    """Resume the run of a database and iterate; return seconds and bytes by name."""
    seconds: dict[str, float] = {}
    started = time.process_time()
    with open_store(str(path)) as store:
        store.claim(1, "scale")
        portfolio = Portfolio((Nothing(),), (1.0,))
        history = History(portfolio.proposers)

        def load(number: int) -> Individual:
            found = store.individual(number, VERSION)
            return Individual(found.id, found.program, found.evaluation, found.generation)

        population = Population(
            load, ArchiveSpec(MEASURES), OBJECTIVE, Policy(SELECTORS["adaptive"]())
        )
        journal = Journal(store, 1, population, Counters(), lambda _: None, (history.tell,))
        begun = time.process_time()
        unfinished = restore(
            journal, history, VERSION, lambda p, _: redraw(0, p, portfolio, population, history)
        )
        seconds["restore"] = time.process_time() - begun
        seconds["open to ready"] = time.process_time() - started
        seconds |= iterate(journal, portfolio, history, unfinished.next_iteration)
        seconds["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
        store.release(1, "interrupted", "measured")
    for name, command in COMMANDS.items():
        line = [sys.executable, "-c", MAIN, *command.split(), "--db", str(path)]
        before = _of_children()
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        seconds[name] = _of_children() - before
    return seconds


def iterate(
    journal: Journal, portfolio: Portfolio, history: History, first: int
) -> dict[str, float]:
    """Return the median seconds of each step of an iteration."""
    steps: dict[str, list[float]] = {"draw": [], "begin": [], "admit": [], "record": []}
    for iteration in range(first, first + ITERATIONS):
        number = 10**8 + iteration
        at = [time.process_time()]
        drawn = draw(0, iteration, portfolio, journal.population, history)
        at.append(time.process_time())
        proposal = journal.begin(iteration, drawn)
        at.append(time.process_time())
        program = Program({"main.py": source(number)})
        pending = journal.admit(proposal, Candidate(program, (drawn.parent.id,)))
        assert isinstance(pending, Pending)
        at.append(time.process_time())
        evaluation = evaluation_of(number)
        journal.record(Judged(pending, evaluation))
        at.append(time.process_time())
        for step, took in zip(steps.values(), np.diff(at), strict=True):
            step.append(float(took))
    return {name: float(np.median(took)) for name, took in steps.items()}


def timed(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
                [sys.executable, "-m", "benchmarks.scale", "--measure", str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            for name, value in json.loads(done.stdout).items():
                if name == "peak_bytes":
                    print(f"  memory: {value / 2**20:.0f} MiB")
                elif value < 1:
                    print(f"  {name}: {value * 1e3:.2f} ms")
                else:
                    print(f"  {name}: {value:.1f} s")


if __name__ == "__main__":
    main()
