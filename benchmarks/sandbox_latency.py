"""Measure what running one program costs: slots, fresh containers and a plain interpreter.

    python benchmarks/sandbox_latency.py [--rounds 100] [--only "docker slot" ...]

The ways are interleaved round by round, so that a busy machine is unfair to none. *reply* is the
time until the answer is there, *total* includes cleaning up; milliseconds. Ratios are printed
beside what they should be at most. Interaction is measured in one session: microseconds per call as
a slot's user sees it, as the runner sees it (*inside*), and *all in*, from `await call(...)` in an
evaluator's `interact` through scorer, controller and runner to the program and back.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import anyio
import numpy as np
from numpy.typing import NDArray

from evolve.config.problem import load_problem
from evolve.core.errors import SandboxUnavailable
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.evaluate.service import open_evaluation
from evolve.sandbox.base import Job, Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox

Times: TypeAlias = NDArray[np.float64]
LIMITS = Limits(wall_s=60.0)
PROGRAMS = {
    "trivial": "def solve(x):\n    return x + 1\n",
    "numpy": "import numpy as np\ndef solve(x):\n    return float(np.sum(np.arange(x)))\n",
    "numpy+scipy": (
        "import numpy as np\nimport scipy.optimize\n"
        "def solve(x):\n    return scipy.optimize.brentq(lambda t: t * t - x, 0, 10)\n"
    ),
}
SANDBOXES: dict[str, Callable[[], Sandbox]] = {
    "docker slot": DockerSandbox,
    "process slot": ProcessSandbox,
    "fresh container": lambda: DockerSandbox(isolation="container"),
}
PLAIN = "plain subprocess"
#: Of a plain subprocess's median, for a warm slot.
AT_MOST = {"trivial": 2 / 3, "numpy+scipy": 1 / 20}
PROBLEM = """\
title: Add one
seed_program: seed.py
entrypoint: solve
evaluator: ./evaluate.py:AddOne
objective: {name: calls, direction: maximize}
measures: [{name: code_length, low: 0, high: 100}]
limits: {wall_s: 60}
"""
EVALUATOR = """\
import time
from evolve import Case, Evaluator, Score

class AddOne(Evaluator):
    def __init__(self, calls: int) -> None:
        self.calls, self.took = calls, []

    def cases(self, stage):
        return [Case({})] if stage == "search" else []

    async def interact(self, case, call):
        for number in range(self.calls):
            began = time.perf_counter()
            await call(x=number)
            self.took.append(1e6 * (time.perf_counter() - began))
        return len(self.took)

    def score(self, case, output, usage):
        took = sorted(self.took)
        figures = {"p50": took[len(took) // 2], "p95": took[len(took) * 95 // 100],
                   "rate": 1e6 * len(took) / sum(took)}
        return Score(output, metrics=figures)
"""


async def in_slot(slot: Slot, source: str) -> tuple[float, float]:
    """Return seconds to the reply and in total."""
    began = time.perf_counter()
    async with slot.session(Job(Program({"program.py": source}), "solve", LIMITS)) as session:
        reply = await session.call({"x": 3})
        replied = time.perf_counter() - began
    assert reply.value is not None, reply
    return replied, time.perf_counter() - began


async def in_interpreter(source: str) -> tuple[float, float]:
    """Run a fresh interpreter with no isolation at all."""
    began = time.perf_counter()
    await anyio.run_process([sys.executable, "-c", f"{source}\nprint(solve(3))"])
    took = time.perf_counter() - began
    return took, took


async def interaction(slot: Slot, calls: int) -> tuple[Times, Times]:
    """Return microseconds per call, outside and inside."""
    job = Job(Program({"program.py": PROGRAMS["trivial"]}), "solve", LIMITS)
    outside, inside = np.empty(calls), np.empty(calls)
    async with slot.session(job) as session:
        await session.call({"x": 0})
        for number in range(calls):
            began = time.perf_counter()
            reply = await session.call({"x": number})
            outside[number] = 1e6 * (time.perf_counter() - began)
            inside[number] = reply.usage.wall_ns / 1e3
    return outside, inside


async def open_slots(stack: AsyncExitStack, only: Sequence[str]) -> dict[str, Slot]:
    """Open a slot of every kind that can be had."""
    slots: dict[str, Slot] = {}
    for name, make in SANDBOXES.items():
        if only and name not in only:
            continue
        try:
            slots[name] = await make().open_slot(len(slots), LIMITS)
            stack.push_async_callback(slots[name].aclose)
        except SandboxUnavailable as error:
            print(f"no {name}: {error}", file=sys.stderr)
    return slots


async def all_in(slot: Slot, folder: Path, calls: int) -> tuple[float, float, float]:
    """Return median and 95th percentile of microseconds per call, and calls per second."""
    (folder / "problem.yaml").write_text(PROBLEM)
    (folder / "prompt.md").write_text("Add one.\n")
    (folder / "seed.py").write_text(PROGRAMS["trivial"])
    (folder / "evaluate.py").write_text(EVALUATOR)
    problem = load_problem(str(folder))
    problem = replace(problem, evaluator_options={"calls": calls})
    async with open_evaluation(problem) as evaluate:
        evaluation = await evaluate(slot, problem.seed_program)
    assert evaluation.score is not None, evaluation.message
    figures = evaluation.score.metrics
    return figures["p50"], figures["p95"], figures["rate"]


async def compare(slots: dict[str, Slot], rounds: int) -> None:
    """Print what one program costs, and the ratios that are promised."""
    print("| way | program | reply p50 | p95 | total p50 | p95 |\n|---|---|---:|---:|---:|---:|")
    ratios = []
    for label, source in PROGRAMS.items():
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in [*slots, PLAIN]}
        for slot in slots.values():
            await in_slot(slot, source)  # the first of its kind imports the libraries
        for number in range(rounds):
            for name, slot in slots.items():
                if "container" not in name or number % 10 == 0:
                    times[name].append(await in_slot(slot, source))
            times[PLAIN].append(await in_interpreter(source))
        plain = float(np.median(np.array(times[PLAIN])[:, 1]))
        for name, pairs in times.items():
            cells = np.percentile(1e3 * np.array(pairs), [50, 95], axis=0).T.ravel()
            print(f"| {name} | {label} |", " | ".join(f"{cell:.1f}" for cell in cells), "|")
            if name != PLAIN and "container" not in name and label in AT_MOST:
                ratio = float(np.median(np.array(pairs)[:, 1])) / plain
                verdict = "met" if ratio <= AT_MOST[label] else "NOT met"
                ratios.append((name, label, ratio, AT_MOST[label], verdict))
    print("\n| total p50 of | program | to a plain subprocess | at most | target |")
    print("|---|---|---:|---:|---|")
    for name, label, ratio, most, verdict in ratios:
        print(f"| {name} | {label} | {ratio:.3f} | {most:.3f} | {verdict} |")


async def converse(slots: dict[str, Slot], calls: int) -> None:
    """Print what one call costs."""
    print("\n| way | call p50 | p95 | inside p50 | calls/s | all in p50 | p95 | calls/s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, slot in slots.items():
        if "container" in name:
            continue
        outside, inside = await interaction(slot, calls)
        p50, p95 = np.percentile(outside, [50, 95])
        rate = 1e6 / float(np.mean(outside))
        with TemporaryDirectory() as folder:
            all50, all95, all_rate = await all_in(slot, Path(folder), calls)
        print(
            f"| {name} | {p50:.0f} | {p95:.0f} | {np.median(inside):.0f} | {rate:.0f} "
            f"| {all50:.0f} | {all95:.0f} | {all_rate:.0f} |"
        )


async def measure(rounds: int, only: Sequence[str]) -> None:
    """Print both tables."""
    async with AsyncExitStack() as stack:
        slots = await open_slots(stack, only)
        await compare(slots, rounds)
        await converse(slots, 20 * rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=(), choices=list(SANDBOXES))
    arguments = parser.parse_args()
    anyio.run(measure, arguments.rounds, arguments.only)


if __name__ == "__main__":
    main()
