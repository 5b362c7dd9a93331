"""Iterations per second of the whole engine: a model that answers in 20 ms, a trivial evaluator.

    python benchmarks/engine_rate.py [--iterations 300] [--slots 2] [--delay 0.02]

The model is a local HTTP server asked through the real SDK; programs run in the process sandbox;
every step is committed. Measured: from the first event to the end of the search, CPU time of this
process and of its children (scorers and slots; the model server's is left out), peak memory.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from evolve.engine.events import Event, RunStarted, Stopping
from evolve.engine.run import run
from tests.fake_llm_server import Call, FakeLLMServer, Reply
from tests.fakes import write_problem


def serve(delay_s: float, pipe: Connection, spread: float = 1.0) -> None:
    """Answer every request with an edit of the parent's constant that nobody made before.

    Args:
        delay_s: Seconds until an answer, in the mean.
        pipe: Told where the server is; ends it when something comes.
        spread: The longest of these over the shortest, spread evenly on a logarithmic scale.
    """
    count = iter(range(10**9))
    shortest_s = delay_s if spread == 1 else delay_s * math.log(spread) / (spread - 1)
    delays = (shortest_s * spread ** np.random.default_rng(0).random(1000)).tolist()

    def answer(call: Call) -> Reply:
        found = re.findall(
            r"^    return .*$", str(call.body["messages"][-1]["content"]), re.MULTILINE
        )
        parent = found[-1].replace("\\n", "\n")
        index = next(count)
        number = index / 997
        edit = (
            f"<<<<<<< SEARCH\n{parent}\n=======\n    return x * x + {number:.6f}\n>>>>>>> REPLACE"
        )
        return Reply(f"Change the constant.\n{edit}\n", delay_s=delays[index % len(delays)])

    with FakeLLMServer(answer) as server:
        pipe.send(server.openai_url)
        pipe.recv()


def measure(url: str, iterations: int, slots: int, folder: Path) -> dict[str, float]:
    """Run the search once and return what it took."""
    write_problem(folder / "parabola")
    moments: dict[str, float] = {}

    def observe(event: Event) -> None:
        if isinstance(event, RunStarted):
            moments["start"], moments["cpu"] = time.perf_counter(), time.process_time()
        elif isinstance(event, Stopping):
            moments["wall"] = time.perf_counter() - moments["start"]
            moments["own"] = time.process_time() - moments["cpu"]

    result = run(
        {
            "problem": str(folder / "parabola"),
            "slots": slots,
            "models": [{"id": "openai/local", "base_url": url}],
            "proposers": [{"kind": "diff"}],
            "sandbox": {"kind": "process", "allow_untrusted": True},
            "stop": {"evaluations": iterations},
        },
        db=str(folder / "run.db"),
        observers=[observe],
    )
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "evaluations": result.progress.evaluations,
        "seconds": moments["wall"],
        "iterations per second": result.progress.evaluations / moments["wall"],
        "controller CPU ms per iteration": 1e3 * moments["own"] / iterations,
        "children CPU ms per iteration": 1e3 * (children.ru_utime + children.ru_stime) / iterations,
        "controller peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "largest child peak MiB": children.ru_maxrss / 1024,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds per reply")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(options.delay, theirs))
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(ours.recv(), options.iterations, options.slots, Path(folder))
    ours.send("stop")
    server.join()
    for name, value in figures.items():
        print(f"{name:34} {value:10.2f}")


if __name__ == "__main__":
    main()
