"""Autocorrelation inequalities and minimum overlap: step functions, in exact arithmetic."""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import LARGEST, numbers, rounded_down, rounded_up

Floats: TypeAlias = NDArray[np.float64]

MAX_CELLS: Final = 100_000
#: Heights are rounded to multiples of 2**-44 of the power of two above the largest of them.
HEIGHT_BITS: Final = 44
#: Heights between 0 and 1 are rounded to multiples of its inverse.
ONE: Final = 2**44
#: An autoconvolution this close to its maximum, relatively, counts as being there.
NEAR: Final = 1e-4


class StepFunctions(Evaluator):
    """Base of what is asked of a step function: read its heights, compute a value without error.

    A program returns the heights of a step function on equal cells of [-1/4, 1/4]. They are rounded
    to integers, which makes another admissible function, and the value of that one is computed
    exactly: each score is a proven bound.
    """

    signed = False

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a function is its own proof."""
        if stage == "search":
            yield Case({})

    def _function(self, output: Value) -> StepFunction:
        low = -LARGEST if self.signed else 0
        heights = numbers(output, count=(1, MAX_CELLS), low=low, high=LARGEST, name="height")
        if not any(heights):
            raise Invalid("all heights are zero")
        return StepFunction(integers(np.array(heights, dtype=np.float64)))


class FirstAutocorrelation(StepFunctions):
    r"""Minimise max(f*f) / (integral of f)^2 over functions f >= 0 on [-1/4, 1/4].

    The smallest possible value is the constant of the first autocorrelation inequality, so every
    function gives an upper bound for it; it is rounded up.

    The autoconvolution of a step function is piecewise linear with its knots where cells meet, so
    its maximum is among the values H*H of the discrete convolution, and for n cells the value is
    ``2 n max(H*H) / (sum H)^2``. Matolcsi and Vinuesa, "Improved bounds on the supremum of
    autoconvolutions", Journal of Mathematical Analysis and Applications 372 (2010).
    """

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the heights prove."""
        function = self._function(output)
        return Score(
            objective=rounded_up(function.value),
            measures={
                "log2_cells": function.log2_cells,
                "asymmetry": function.asymmetry,
                "zero_share": function.zero_share,
            },
            feedback=f"Proven bound {float(function.value):.10f} {function.feedback}",
        )


class SecondAutocorrelation(StepFunctions):
    r"""Maximise (f*f's 2-norm)^2 / (1-norm times maximum) over functions f >= 0 on the line.

    Every function gives a lower bound for the constant of the second autocorrelation inequality; it
    is rounded down. With knots c of f*f, zeros at both ends included, the value is
    ``(2 sum c_i^2 + sum c_i c_{i+1}) / (3 sum c_i max c)``, since f*f is linear between them.
    """

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the heights prove."""
        function = self._function(output)
        value = function.flatness
        return Score(
            objective=rounded_down(value),
            measures={"log2_cells": function.log2_cells, "asymmetry": function.asymmetry},
            metrics={"zero_share": function.zero_share},
            feedback=f"Proven bound {float(value):.10f} {function.feedback}",
        )


class ThirdAutocorrelation(StepFunctions):
    r"""Minimise max(f*f) / (integral of f)^2 over real functions f on [-1/4, 1/4].

    Args:
        absolute: Whether the maximum of |f*f| is meant. The two problems have different records; a
            value of the absolute one holds for the other, too.

    Heights may be negative; else as `FirstAutocorrelation`.
    """

    signed = True

    def __init__(self, *, absolute: bool) -> None:
        self._absolute = absolute

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the heights prove."""
        function = self._function(output)
        if sum(function.heights) == 0:
            raise Invalid("the integral is zero")
        value = function.absolute_value if self._absolute else function.value
        lowest = float(Fraction(min(function.convolution), max(function.convolution)))
        return Score(
            objective=rounded_up(value),
            measures={
                "log2_cells": function.log2_cells,
                "negative_share": function.negative_share,
            },
            metrics={"asymmetry": function.asymmetry},
            feedback=f"Proven bound {float(value):.10f} {function.feedback} The smallest value of "
            f"f*f is {lowest:.4f} times the largest.",
        )


class MinimumOverlap(StepFunctions):
    """Minimise max over k of the integral of h(x) (1 - h(x + k)) over h: [0, 2] -> [0, 1].

    The integral of h must be 1. Every function gives an upper bound for the constant of Erdős'
    minimum overlap problem. A program returns heights on equal cells; they are rounded to whole
    numbers whose mean is exactly a half, and the overlap of that function, piecewise linear in k
    with its knots at multiples of a cell's width, is computed without error and rounded up.
    Haugland, "The minimum overlap problem revisited", arXiv:1609.08000.
    """

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the heights prove."""
        given = numbers(output, count=(1, MAX_CELLS), low=0, high=1, name="height")
        heights = balanced([round(Fraction(height) * ONE) for height in given])
        n = len(heights)
        overlaps = convolution(heights, [ONE - height for height in reversed(heights)])
        largest = max(overlaps)
        bound = Fraction(2 * largest, n * ONE**2)
        near = sum(overlap >= largest - int(largest * NEAR) for overlap in overlaps)
        shift = 2 * (overlaps.index(largest) - n + 1) / n
        mean = math.fsum(given) / n
        moved = f" The mean was {mean:.9f} and was made 1/2." if abs(mean - 0.5) > 1e-9 else ""
        jumps = sum(abs(a - b) for a, b in itertools.pairwise(heights)) / ONE
        return Score(
            objective=rounded_up(bound),
            measures={"log2_cells": math.log2(n), "variation": jumps},
            metrics={"asymmetry": StepFunction(heights).asymmetry},
            feedback=f"Proven bound {float(bound):.10f} with {n} cells. The overlap is largest at "
            f"k = {shift:.4f}; {near} of {len(overlaps)} shifts are within {NEAR:g} of it, "
            f"relatively.{moved}",
        )


@dataclass(frozen=True)
class StepFunction:
    """A step function on [-1/4, 1/4] with equal cells.

    Attributes:
        heights: Whole numbers, not all zero.
    """

    heights: Sequence[int]

    @cached_property
    def convolution(self) -> list[int]:
        """The values of H*H, ``2 n - 1`` of them, without error."""
        above = [max(height, 0) for height in self.heights]
        below = [max(-height, 0) for height in self.heights]
        if not any(below):
            return convolution(above, above)
        squares = zip(convolution(above, above), convolution(below, below), strict=True)
        mixed = convolution(above, below)
        return [p + q - 2 * r for (p, q), r in zip(squares, mixed, strict=True)]

    @property
    def value(self) -> Fraction:
        """``2 n max(H*H) / (sum H)^2``."""
        return Fraction(2 * len(self.heights) * max(self.convolution), sum(self.heights) ** 2)

    @property
    def absolute_value(self) -> Fraction:
        """``2 n max|H*H| / (sum H)^2``."""
        largest = max(map(abs, self.convolution))
        return Fraction(2 * len(self.heights) * largest, sum(self.heights) ** 2)

    @property
    def flatness(self) -> Fraction:
        """(2-norm of f*f)^2 / (its 1-norm times its maximum), for heights that are not negative."""
        knots = self.convolution
        squares = sum(knot * knot for knot in knots)
        neighbours = sum(a * b for a, b in itertools.pairwise(knots))
        return Fraction(2 * squares + neighbours, 3 * sum(knots) * max(knots))

    @property
    def log2_cells(self) -> float:
        """Binary logarithm of the number of cells."""
        return math.log2(len(self.heights))

    @property
    def asymmetry(self) -> float:
        """Share of |f| that would have to move to make f even; from 0 to 1."""
        pairs = zip(self.heights, reversed(self.heights), strict=True)
        return sum(abs(a - b) for a, b in pairs) / (2 * self._mass)

    @property
    def negative_share(self) -> float:
        """Share of |f| where f is negative."""
        return sum(max(-height, 0) for height in self.heights) / self._mass

    @property
    def _mass(self) -> int:
        return sum(map(abs, self.heights))

    @property
    def zero_share(self) -> float:
        """Share of cells of height zero."""
        return self.heights.count(0) / len(self.heights)

    @property
    def feedback(self) -> str:
        """Where the autoconvolution is largest, and how flat it is."""
        n, values = len(self.heights), self.convolution
        largest = max(values)
        place = (values.index(largest) + 1) / (2 * n) - 0.5
        threshold = largest - int(largest * NEAR)
        near = sum(value >= threshold for value in values)
        return (
            f"with {n} cells. f*f is largest at "
            f"x = {place:.4f}; {near} of its {len(values)} knots are within {NEAR:g} of the "
            f"maximum, relatively (the best functions known keep f*f flat over a wide range)."
        )


_EXACT: Final = decimal.Context(
    prec=decimal.MAX_PREC,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.InvalidOperation],
)


def convolution(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return the discrete convolution of whole numbers, none negative, without error.

    All numbers of a side become one long decimal number, each with room for the largest sum of
    products; the product then holds the convolution, digit for digit (Kronecker substitution). The
    `decimal` module multiplies by a number-theoretic transform: 0.3 s for 100,000 numbers.
    """
    count = len(left) + len(right) - 1
    width = len(str(min(len(left), len(right)) * max(left) * max(right)))
    a, b = (
        decimal.Decimal("".join(f"{value:0{width}d}" for value in side)) for side in (left, right)
    )
    digits = f"{_EXACT.multiply(a, b):0{count * width}f}"
    first = len(digits) - count * width
    return [int(digits[i : i + width]) for i in range(first, len(digits), width)]


def balanced(heights: Sequence[int]) -> list[int]:
    """Return heights from 0 to `ONE` whose mean is exactly half of it.

    Whichever of h and 1 - h has too much is scaled down; what rounding leaves is given to the first
    cells.
    """
    target, total = len(heights) * ONE // 2, sum(heights)
    if total < target:
        return [ONE - height for height in balanced([ONE - height for height in heights])]
    scaled = [height * target // total for height in heights]
    missing = target - sum(scaled)
    for i, height in enumerate(scaled):
        added = min(ONE - height, 1, missing)
        scaled[i] += added
        missing -= added
    return scaled


def integers(heights: Floats) -> list[int]:
    """Scale by a power of two and round, so that the largest is at least 2**43."""
    exponent = int(np.frexp(np.abs(heights).max())[1])
    scaled = np.ldexp(heights, HEIGHT_BITS - exponent)
    return [int(height) for height in np.rint(scaled)]
