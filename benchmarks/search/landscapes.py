"""Numeric problems without a model: a program is a list of constants, a proposal perturbs one.

Scores are computed here from the numbers in the source; no candidate is run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from evolve.config.problem import Problem
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score
from evolve.core.limits import Limits
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Rejected

SOURCE = """\
# EVOLVE-BLOCK-START
X = [{}]
# EVOLVE-BLOCK-END


def constants():
    return X
"""
_LIST = re.compile(r"^X = \[(.*)\]$", re.MULTILINE)
_VERSION = "benchmark"


def program(values: Sequence[float]) -> Program:
    """Return the program of some constants."""
    return Program({"seed.py": SOURCE.format(", ".join(map(repr, map(float, values))))})


def constants(source: Program) -> list[float]:
    """Return the constants of a program."""
    found = _LIST.search(source.files["seed.py"])
    assert found is not None
    return [float(text) for text in found[1].split(",")]


@dataclass(frozen=True, slots=True)
class Landscape:
    """A function of constants, to be maximised.

    Attributes:
        start: The constants of the seed program.
        step: Draws what is added to a constant.
        terms: Returns the value on each of several cases, whose mean is the objective; None where
            the constants are not allowed.
        measures: The map's axes, and how to compute them.
    """

    name: str
    start: tuple[float, ...]
    step: Callable[[np.random.Generator], float]
    terms: Callable[[Sequence[float]], list[float] | None]
    axes: tuple[Measure, ...]
    measures: Callable[[Sequence[float]], Mapping[str, float]]

    def problem(self) -> Problem:
        """Return the landscape as the engine sees it."""
        return Problem(
            id=self.name,
            folder=Path.cwd(),
            title=self.name,
            statement="",
            seed_program=program(self.start),
            entrypoint="constants",
            evaluator="",
            evaluator_options={},
            objective=Objective("value", "maximize", 0.0),
            measures=self.axes,
            limits=Limits(),
            record=None,
            harness="",
            baselines=(),
            hash=_VERSION,
        )

    def evaluate(self, source: Program) -> Evaluation:
        """Score a program."""
        values = constants(source)
        terms = self.terms(values)
        if terms is None:
            return Evaluation(Outcome.INVALID, message="not allowed", evaluator=_VERSION)
        cases = tuple(
            CaseResult(str(number), Outcome.OK, Score(term)) for number, term in enumerate(terms)
        )
        score = Score(float(np.mean(terms)), self.measures(values))
        return Evaluation(Outcome.OK, score, cases=cases, evaluator=_VERSION)


@dataclass(frozen=True, slots=True)
class Perturb:
    """The operator: adds a step to one constant of the parent."""

    landscape: Landscape
    name: str = "perturb"
    arbitrary_code: bool = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Make a program that differs from the parent in one constant."""
        values = constants(context.parent.program)
        values[int(context.rng.integers(len(values)))] += self.landscape.step(context.rng)
        return Candidate(program(values), (context.parent.id,))


def _valley(x: Sequence[float]) -> list[float]:
    """Return 1 / (1 + distance): a curved valley, Rosenbrock's with a gentler slope."""
    slope = sum(5 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))
    return [1 / (1 + 62.9 / (len(x) - 1) * slope)]


#: Eight constants, from 0.01565; at the end of a curved valley the value is 1. Climbing is all.
SMOOTH = Landscape(
    name="smooth",
    start=(0.0,) * 8,
    step=lambda rng: 0.25 * float(rng.standard_normal()),
    terms=_valley,
    axes=(Measure("mean", -1.0, 1.5, 10), Measure("spread", 0.0, 1.0, 10)),
    measures=lambda x: {"mean": float(np.mean(x)), "spread": float(np.std(x))},
)

#: A cul-de-sac around the start that opens away from the goal: x from, y from, x to, y to.
WALLS = ((0.35, 0.2, 0.65, 0.35), (0.35, 0.65, 0.65, 0.8), (0.55, 0.2, 0.7, 0.8))
GOAL = (0.95, 0.5)


def _maze(x: Sequence[float]) -> list[float] | None:
    """Return the closeness to the goal; nothing inside walls and outside the square."""
    across, up = x[0], x[1]
    inside = 0 <= across <= 1 and 0 <= up <= 1
    if not inside or any(a <= across <= c and b <= up <= d for a, b, c, d in WALLS):
        return None
    return [1 - math.dist((across, up), GOAL)]


#: A deceptive maze (after Lehman and Stanley, 2011): steps are shorter than walls are thick, and
#: closer to the goal is into the cul-de-sac. At the bottom of that the value is 0.6, at the goal 1.
DECEPTIVE = Landscape(
    name="deceptive",
    start=(0.45, 0.5),
    step=lambda rng: float(rng.uniform(-0.12, 0.12)),
    terms=_maze,
    axes=(Measure("across", 0.0, 1.0, 10), Measure("up", 0.0, 1.0, 10)),
    measures=lambda x: {"across": x[0], "up": x[1]},
)


def _egg_box(x: Sequence[float]) -> list[float]:
    """Return 1 / (1 + Rastrigin's function), which has a local optimum at every grid point."""
    height = sum(value * value - 10 * math.cos(2 * math.pi * value) + 10 for value in x)
    return [1 / (1 + height)]


#: Four constants, each four local optima away from the best one; few steps lead to the next one.
RUGGED = Landscape(
    name="rugged",
    start=(4.0,) * 4,
    step=lambda rng: 0.3 * float(rng.standard_normal()),
    terms=_egg_box,
    axes=(Measure("first", -5.0, 5.0, 10), Measure("second", -5.0, 5.0, 10)),
    measures=lambda x: {"first": x[0], "second": x[1]},
)
