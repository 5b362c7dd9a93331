"""SQLite and PostgreSQL beside each other: what a commit, an iteration and a question cost.

    python benchmarks/postgres.py [--programs 1000] [--evaluations 300] [--url URL]

Without a URL a server of its own is started (Debian's package `postgresql`), reached by a socket,
with its commits on the disk. Cycles of `benchmarks/store_commit.py` take turns between the
databases, so that a busy machine is unfair to none; then a search by the genetic operator, whose
programs cost next to nothing, is run in each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.store_commit import RUN, Filler
from evolve.engine.run import run
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import write_config
from tests.postgres_server import Server

QUESTIONS: dict[str, Callable[[Reader, int], object]] = {
    "totals": lambda reader, run_id: reader.totals(run_id),
    "best program": lambda reader, run_id: reader.best(run_id),
    "leaderboard of 50": lambda reader, run_id: reader.leaderboard(run_id, 50),
    "archive events": lambda reader, run_id: reader.archive_events(run_id),
    "one program with everything": lambda reader, _: reader.program(1),
}


@contextmanager
def places(url: str) -> Iterator[dict[str, str]]:
    """Yield databases by name."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        if not url:
            server = Server(durable=True)
            held.callback(server.remove)
            url = server.create("benchmark")
        yield {
            "SQLite": f"sqlite:///{folder / 'normal.db'}",
            "SQLite, full": f"sqlite:///{folder / 'full.db'}?synchronous=full",
            "PostgreSQL": url,
        }


def commits(databases: dict[str, str], programs: int) -> dict[str, list[float]]:
    """Return milliseconds of the parts of a program's way through each store, as medians."""
    with ExitStack() as held:
        fillers = {}
        for name, url in databases.items():
            store = held.enter_context(open_store(url))
            run_id = store.create_run(RUN).id
            store.claim(run_id, "benchmark")
            fillers[name] = Filler(store, run_id)
        for number in range(programs):
            for filler in fillers.values():
                filler.cycle(number)
    return {
        name: [1e3 * float(np.median(part)) for part in (each.call_s, each.add_s, each.commit_s)]
        for name, each in fillers.items()
    }


def iteration(url: str, evaluations: int) -> tuple[float, float]:
    """Search; return milliseconds of an iteration by the wall and of this process's CPU."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), slots=1, proposals=1, stop={"evaluations": evaluations})
        wall, cpu = time.perf_counter(), time.process_time()
        run(config, db=url, new=True)
        return (
            1e3 * (time.perf_counter() - wall) / evaluations,
            1e3 * (time.process_time() - cpu) / evaluations,
        )


def answers(url: str) -> dict[str, float]:
    """Return milliseconds of each question, the best of three."""
    found = {}
    with open_reader(url) as reader:
        run_id = reader.runs()[0].id
        for name, ask in QUESTIONS.items():
            taken = []
            for _ in range(3):
                began = time.perf_counter()
                ask(reader, run_id)
                taken.append(1e3 * (time.perf_counter() - began))
            found[name] = min(taken)
    return found


def main() -> None:
    """Print the figures, in milliseconds, a column for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--url", default="", help="an empty PostgreSQL database to measure instead")
    options = parser.parse_args()
    with places(options.url) as databases:
        parts = commits(databases, options.programs)
        asked = {name: answers(url) for name, url in databases.items()}
        took = {name: iteration(url, options.evaluations) for name, url in databases.items()}
    lines = {
        "proposal, prompt, reply (3 commits)": [part[0] for part in parts.values()],
        "add a program (1 commit)": [part[1] for part in parts.values()],
        "commit an evaluation (1 commit)": [part[2] for part in parts.values()],
        **{name: [each[name] for each in asked.values()] for name in QUESTIONS},
        "iteration, wall": [each[0] for each in took.values()],
        "iteration, CPU of the controller": [each[1] for each in took.values()],
    }
    print(f"{'milliseconds':36}" + "".join(f"{name:>14}" for name in databases))
    for name, values in lines.items():
        print(f"{name:36}" + "".join(f"{value:14.2f}" for value in values))


if __name__ == "__main__":
    main()
