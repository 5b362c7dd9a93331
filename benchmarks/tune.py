"""After a change of structure: what do evaluations spent on the constants bring?

python benchmarks/tune.py [--seeds 7] [--evaluations 300] [--most 10000]

A program has the right form and wrong numbers. `tune` proposes values for all of them, for so many
evaluations. Then the perturbation of the genetic operator, which changes one number at a time and
here keeps what is better, goes on until it is as good. Both are the operators of a run, called
without one. Printed: the root mean square error at first, after `tune`, and how many evaluations
the other way needs for that, medians over seeds; a seed that never gets there counts as ``--most``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import anyio
import numpy as np

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.limits import Limits
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.llm.base import Completion, Request
from evolve.propose.base import Candidate, Context, Individual
from evolve.propose.genetic.blocks import Draft
from evolve.propose.genetic.mutate import perturb
from evolve.propose.genetic.scopes import places
from evolve.propose.genetic.sites import number_of, sites
from evolve.propose.tune import TuneProposer

ELLIPSE = """import math
# EVOLVE-BLOCK-START
def f(a, b):
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1.0 + 1.0 * h / (5.0 + math.sqrt(5.0 - 1.0 * h)))
# EVOLVE-BLOCK-END
"""
PEAKS = """import math
# EVOLVE-BLOCK-START
def f(x):
    first = 1.0 * math.exp(-(((x - 2.0) / 1.0) ** 2))
    return first + 1.0 * math.exp(-(((x - 6.0) / 1.0) ** 2)) + 0.1
# EVOLVE-BLOCK-END
"""


@dataclass(frozen=True)
class Task:
    """A program to be tuned, and the points it is compared on."""

    source: str
    points: list[tuple[tuple[float, ...], float]]

    def error(self, program: Program) -> float:
        """Return the root mean square error; infinite where the program fails."""
        names: dict[str, Callable[..., float]] = {}
        exec(program.files["a.py"], names)  # our own text with other numbers in it
        try:
            squares = [(names["f"](*point) - value) ** 2 for point, value in self.points]
            error = math.sqrt(math.fsum(squares) / len(squares))
        except (ArithmeticError, ValueError, TypeError):  # a root may have become complex
            return math.inf
        return error if math.isfinite(error) else math.inf


def perimeter(a: float, b: float) -> float:
    """Integrate the perimeter of an ellipse."""
    angles = (np.arange(4000) + 0.5) * (2 * math.pi / 4000)
    speed = np.hypot(a * np.sin(angles), b * np.cos(angles))
    return float(speed.mean() * 2 * math.pi)


def peaks(x: float) -> float:
    """Return a sum of two peaks on a floor."""
    first = 1.7 * math.exp(-(((x - 2.9) / 0.6) ** 2))
    return first + 0.6 * math.exp(-(((x - 5.1) / 1.8) ** 2)) + 0.25


TASKS = {
    "perimeter of an ellipse, 5 numbers": Task(
        ELLIPSE,
        [((1.0, b), perimeter(1.0, b)) for b in np.linspace(0.05, 1, 20)],
    ),
    "two peaks, 7 numbers": Task(
        PEAKS,
        [((float(x),), peaks(float(x))) for x in np.linspace(0, 8, 41)],
    ),
}


def individual(number: int, program: Program, error: float) -> Individual:
    """Return what an evaluation would have made of a program."""
    if math.isinf(error):
        return Individual(number, program, Evaluation(Outcome.EXCEPTION))
    return Individual(number, program, Evaluation(Outcome.OK, Score(error)))


def tuned(task: Task, seed: int, most: int) -> Iterator[float]:
    """Yield the error of each program that `tune` proposes."""
    program = Program({"a.py": task.source})
    parent = individual(0, program, task.error(program))
    operator = TuneProposer(evaluations=most)
    trials: list[Individual] = []
    base = Context(problem_of(program), parent, (), np.random.default_rng(0), 0, no_model)
    while True:
        number = len(trials)
        chance = int(np.random.default_rng([seed, number]).integers(2**31))
        context = replace(base, seed=chance, trials=tuple(trials))
        candidate = anyio.run(operator.propose, context)
        assert isinstance(candidate, Candidate)
        error = task.error(candidate.program)
        trials.append(individual(number + 1, candidate.program, error))
        yield error


def perturbed(task: Task, seed: int, most: int) -> Iterator[float]:
    """Yield the best error after each random change of one number."""
    program = Program({"a.py": task.source})
    rng, best = np.random.default_rng(seed), task.error(program)
    for _ in range(most):
        draft = Draft(program)
        found = [s for tree in draft.trees for place in places(tree) for s in sites(place)]
        numbers = [site for site in found if isinstance(number_of(site.node), float)]
        site = numbers[rng.integers(len(numbers))]
        changed = perturb(rng, site)
        if changed is None:
            continue
        site.put(changed)
        candidate = draft.render()
        error = task.error(candidate)
        if error < best:
            best, program = error, candidate
        yield error


def problem_of(program: Program) -> Problem:
    """Return a problem to minimise the error of ``f``."""
    return Problem(
        id="tune",
        folder=Path(),
        title="",
        statement="",
        seed_program=program,
        entrypoint="f",
        evaluator="",
        evaluator_options={},
        objective=Objective("error", "minimize"),
        measures=(Measure("x", 0, 1, 1),),
        limits=Limits(),
        record=None,
        harness="",
        baselines=(),
        hash="",
    )


async def no_model(model: str, request: Request) -> Completion:
    """Refuse: nothing here asks a model."""
    raise AssertionError(model, request)


def needed(errors: Iterator[float], target: float, most: int) -> int:
    """Return how many evaluations it took to be as good as ``target``."""
    return next((count for count, error in enumerate(errors, start=1) if error <= target), most)


def main() -> None:
    """Print a row for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--most", type=int, default=10_000)
    options = parser.parse_args()
    print(
        f"| problem | error at first | after {options.evaluations} of tune | one at a time needs |"
    )
    print("|---|---:|---:|---:|")
    for name, task in TASKS.items():
        found, counts = [], []
        for seed in range(options.seeds):
            found.append(min(islice(tuned(task, seed, options.evaluations), options.evaluations)))
            counts.append(needed(perturbed(task, seed, options.most), found[-1], options.most))
        first = task.error(Program({"a.py": task.source}))
        ratio = np.median(counts) / options.evaluations
        print(
            f"| {name} | {first:.3g} | {np.median(found):.3g} | {np.median(counts):.0f} "
            f"({ratio:.0f} times as many) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
