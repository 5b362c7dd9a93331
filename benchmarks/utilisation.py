"""How busy slots are: evaluations of 0.2 s on 2 slots, models that answer sooner or later.

    python benchmarks/utilisation.py [--evaluations 150] [--slots 2] [--evaluation 0.2]

The model is a local HTTP server asked through the real SDK; programs run in the process sandbox and
sleep, so that slots do not compete for CPUs; every step is committed. Two shares of the slots' time
from the end of the seed program's evaluation to the moment the budget is spent: *lent*, as a run's
summary shows it, and *running*, in which a program was answering a call by the runner's clock. What
lies between is loading, clean-up, scoring and the commit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.engine_rate import serve
from evolve.engine.events import Event, ProgramEvaluated, Stopping
from evolve.engine.run import run
from tests.fakes import PROBLEM, write_problem

CASES = 4
SEED = """\
import time


def slow(x):
    time.sleep({seconds})
    return f(x)


# EVOLVE-BLOCK-START
def f(x):
    return 0.5 * x + 2.0
# EVOLVE-BLOCK-END
"""


class Watch:
    """An observer that adds up what programs took."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.answering_s = 0.0
        self.evaluations = 0

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, ProgramEvaluated) and self.began and not self.ended:
            cases = event.evaluation.cases
            self.answering_s += sum(case.usage.wall_ns for case in cases) / 1e9
            self.evaluations += 1
        elif isinstance(event, ProgramEvaluated):
            self.began = self.began or time.perf_counter()
        elif isinstance(event, Stopping):
            self.ended = time.perf_counter()


def measure(
    delay_s: float, spread: float, evaluation_s: float, evaluations: int, slots: int
) -> dict[str, float]:
    """Run one search against a model that answers after ``delay_s``, see `serve`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(delay_s, theirs, spread))
    server.start()
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "problem": PROBLEM["problem.yaml"].replace("entrypoint: f", "entrypoint: slow"),
            "seed": SEED.format(seconds=evaluation_s / CASES),
            "constant": "def slow(x):\n    return 5\n",
        }
        write_problem(Path(folder) / "parabola", **changes)
        result = run(
            {
                "problem": f"{folder}/parabola",
                "slots": slots,
                "models": [{"id": "openai/local", "base_url": ours.recv()}],
                "proposers": [{"kind": "diff"}],
                "sandbox": {"kind": "process", "allow_untrusted": True},
                "stop": {"evaluations": evaluations},
            },
            db=f"{folder}/run.db",
            observers=[watch],
        )
    ours.send("stop")
    server.join()
    seconds = watch.ended - watch.began
    lent = result.progress.utilisation
    return {
        "lent": sum(lent) / len(lent),
        "running": watch.answering_s / (slots * seconds),
        "per_s": watch.evaluations / seconds,
        "seconds": seconds,
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--evaluation", type=float, default=0.2, help="seconds per evaluation")
    options = parser.parse_args()
    print("| model answers after | slots lent | programs running | evaluations/s | seconds |")
    print("|---|---:|---:|---:|---:|")
    for delay, spread in ((0.0, 1.0), (0.5, 1.0), (0.5, 10.0)):
        got = measure(delay, spread, options.evaluation, options.evaluations, options.slots)
        varying = "" if spread == 1 else f", the longest {spread:g} times the shortest"
        print(
            f"| {delay:g} s{varying} | {got['lent']:.1%} | {got['running']:.1%} "
            f"| {got['per_s']:.2f} | {got['seconds']:.1f} |"
        )


if __name__ == "__main__":
    main()
