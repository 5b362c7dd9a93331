"""Rosenbrock's valley with a gentler slope, turned so that its bottom has the value 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean, pstdev

from evolve import Case, Evaluator, Invalid, Score, Usage

COUNT, LARGEST = 8, 10.0


class Valley(Evaluator):
    """Scores the constants that a program returns."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield the only case, for the search."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: object, usage: Usage) -> Score:
        """Return how near to the bottom the numbers lie."""
        del case, usage
        x = _numbers(output)
        slope = sum(5 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))
        return Score(1 / (1 + 9 * slope), {"mean": fmean(x), "spread": pstdev(x)})


def _numbers(output: object) -> list[float]:
    if not isinstance(output, list) or len(output) != COUNT:
        raise Invalid(f"return a list of {COUNT} numbers")
    numbers = [float(x) for x in output if isinstance(x, (int, float)) and math.isfinite(x)]
    if len(numbers) != COUNT or max(map(abs, numbers)) > LARGEST:
        raise Invalid(f"return finite numbers between -{LARGEST:g} and {LARGEST:g}")
    return numbers
