"""What sharing a run costs: 1, 2 and 4 controllers on one database, and one that shares nothing.

    python benchmarks/controllers.py [--evaluations 600] [--slots 2]

Programs are made by the genetic operator and judged by the parabola's evaluator; they run in the
controller's own process, so that hardly anything but the controller takes time. Rates are from the
rows; CPU time is that of all controllers. Transactions that write are made one after another: what
they take, from the lock to the commit, bounds how many evaluations all can make in a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Connection

from evolve.engine.events import Event, RunStarted, Stopping
from evolve.engine.run import run
from evolve.store.database import Database
from evolve.store.reader import open_reader
from tests import fakes
from tests.fakes import write_problem


def count_transactions(spent: dict[str, float]) -> None:
    """Have databases count transactions that write, and their seconds."""
    write, outermost = Database.write, [True]

    @contextmanager
    def timed(self: Database) -> Iterator[Connection]:
        if not outermost[0]:
            with write(self) as connection:
                yield connection
            return
        with write(self) as connection:
            outermost[0] = False
            started, cpu = time.perf_counter(), time.process_time()
            try:
                yield connection
            finally:
                outermost[0] = True
            spent["writing_cpu"] += time.process_time() - cpu
        spent["writing"] += time.perf_counter() - started
        spent["transactions"] += 1

    Database.write = timed  # type: ignore[method-assign] # only in this process


def control(config: dict[str, object], db: str, *, join: bool) -> None:
    """Be one controller, and print what it took."""
    spent = dict.fromkeys(("writing", "writing_cpu", "transactions", "cpu"), 0.0)

    def observe(event: Event) -> None:
        if isinstance(event, RunStarted):
            spent.update(writing=0.0, writing_cpu=0.0, transactions=0.0, cpu=-time.process_time())
        elif isinstance(event, Stopping):
            spent["cpu"] += time.process_time()

    count_transactions(spent)
    run(config, db=db, observers=[observe], join=join)
    print(json.dumps(spent))


def measure(config: dict[str, object], db: str, count: int, *, join: bool) -> dict[str, float]:
    """Have ``count`` controllers make a run; return what it took."""
    command = [sys.executable, __file__, "--child", json.dumps(config), "--db", db]
    children = [
        subprocess.Popen([*command, *(["--join"] if join else [])], stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    found = [json.loads(child.communicate()[0]) for child in children]
    with open_reader(db) as reader:
        times = [each.at for each in reader.ended(1, reader.run(1).problem_hash)]
    made = len(times)
    return {
        "evaluations/s": made / (times[-1] - times[0]),
        "CPU ms per evaluation": 1e3 * sum(each["cpu"] for each in found) / made,
        "lock ms per evaluation": 1e3 * sum(each["writing"] for each in found) / made,
        "of it CPU": 1e3 * sum(each["writing_cpu"] for each in found) / made,
        "transactions per evaluation": sum(each["transactions"] for each in found) / made,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--db", default="", help=argparse.SUPPRESS)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--join", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        control(json.loads(options.child), options.db, join=options.join)
        return
    cases = [("one, alone", 1, False)]
    cases += [(f"{count}, sharing", count, True) for count in (1, 2, 4)]
    for name, count, join in cases:
        with tempfile.TemporaryDirectory() as folder:
            write_problem(Path(folder) / "parabola")
            config = {
                "problem": str(Path(folder) / "parabola"),
                "name": name,
                "slots": options.slots,
                "sandbox": {"kind": f"{Path(fakes.__file__).resolve()}:InProcessSandbox"},
                "proposers": [{"kind": "genetic"}],
                "stop": {"evaluations": options.evaluations},
            }
            figures = measure(config, str(Path(folder) / "run.db"), count, join=join)
        print(name, *(f"{key} {value:.2f}" for key, value in figures.items()), sep="  ")


if __name__ == "__main__":
    main()
