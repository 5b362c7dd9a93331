"""Autocorrelation inequalities: step functions, judged in exact arithmetic."""

from __future__ import annotations

import decimal
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

Floats: TypeAlias = NDArray[np.float64]

MAX_CELLS: Final = 100_000
#: Heights are rounded to multiples of 2**-44 of the power of two above the largest of them.
HEIGHT_BITS: Final = 44
#: An autoconvolution this close to its maximum, relatively, counts as being there.
NEAR: Final = 1e-4


class FirstAutocorrelation(Evaluator):
    r"""Minimise max(f*f) / (integral of f)^2 over functions f >= 0 on [-1/4, 1/4].

    The smallest possible value is the constant of the first autocorrelation inequality, so every
    function gives an upper bound for it. A program returns the heights of a step function on equal
    cells. They are rounded to integers, which makes another admissible function, and the value of
    that one is computed without error and rounded up: each score is a proven bound.

    The autoconvolution of a step function is piecewise linear with its knots where cells meet, so
    its maximum is among the values H*H of the discrete convolution, and for n cells the value is
    ``2 n max(H*H) / (sum H)^2``. Matolcsi and Vinuesa, "Improved bounds on the supremum of
    autoconvolutions", Journal of Mathematical Analysis and Applications 372 (2010).
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a function is its own proof."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the heights prove."""
        function = StepFunction(integers(_heights(output)))
        return Score(
            objective=rounded_up(function.value),
            measures={
                "log2_cells": math.log2(len(function.heights)),
                "asymmetry": function.asymmetry,
                "zero_share": function.zero_share,
            },
            feedback=function.feedback,
        )


@dataclass(frozen=True)
class StepFunction:
    """A step function on [-1/4, 1/4] with equal cells.

    Attributes:
        heights: Whole numbers, not negative and not all zero.
    """

    heights: Sequence[int]

    @cached_property
    def convolution(self) -> list[int]:
        """The values of H*H, ``2 n - 1`` of them, without error.

        All heights become one long decimal number, each with room for the largest sum of products;
        its square then holds the convolution, digit for digit (Kronecker substitution). The
        `decimal` module squares by a number-theoretic transform: 0.3 s for 100,000 cells.
        """
        n = len(self.heights)
        width = len(str(n * max(self.heights) ** 2))
        number = decimal.Decimal("".join(f"{height:0{width}d}" for height in self.heights))
        digits = f"{_EXACT.multiply(number, number):0{(2 * n - 1) * width}f}"
        first = len(digits) - (2 * n - 1) * width
        return [int(digits[i : i + width]) for i in range(first, len(digits), width)]

    @property
    def value(self) -> Fraction:
        """``2 n max(H*H) / (sum H)^2``."""
        return Fraction(2 * len(self.heights) * max(self.convolution), sum(self.heights) ** 2)

    @property
    def asymmetry(self) -> float:
        """Share of the integral that would have to move to make it even; from 0 to 1."""
        pairs = zip(self.heights, reversed(self.heights), strict=True)
        return sum(abs(a - b) for a, b in pairs) / (2 * sum(self.heights))

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
            f"Proven bound {rounded_up(self.value):.10f} with {n} cells. f*f is largest at "
            f"x = {place:.4f}; {near} of its {len(values)} knots are within {NEAR:g} of the "
            f"maximum, relatively (the best functions known keep f*f flat over a wide range)."
        )


_EXACT: Final = decimal.Context(
    prec=decimal.MAX_PREC,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.InvalidOperation],
)


def integers(heights: Floats) -> list[int]:
    """Scale by a power of two and round, so that the largest is at least 2**43."""
    exponent = int(np.frexp(heights.max())[1])
    scaled = np.ldexp(heights, HEIGHT_BITS - exponent)
    return [int(height) for height in np.rint(scaled)]


def rounded_up(value: Fraction) -> float:
    """Return the smallest double that is not below ``value``."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def _heights(output: Value) -> Floats:
    """Read between 1 and `MAX_CELLS` heights, not negative and not all zero.

    Raises:
        Invalid: ``output`` is anything else; says which height and why.
    """
    if isinstance(output, np.ndarray):
        if output.ndim != 1 or output.dtype.kind not in "iuf":
            raise Invalid(
                "construct must return one list of real heights, not an array of "
                f"{output.dtype} with shape {output.shape}"
            )
    elif not isinstance(output, list):
        raise Invalid(f"construct must return a list of heights, not a {type(output).__name__}")
    if not 1 <= len(output) <= MAX_CELLS:
        raise Invalid(f"there are {len(output)} heights, must be 1 to {MAX_CELLS}")
    heights = output.astype(np.float64) if isinstance(output, np.ndarray) else _floats(output)
    for problem, wrong in (
        ("not finite", ~np.isfinite(heights)),
        ("negative", heights < 0),
    ):
        if wrong.any():
            i = int(wrong.argmax())
            raise Invalid(f"height {i} is {heights[i]}: {problem} ({wrong.sum()} such heights)")
    if not heights.any():
        raise Invalid("all heights are zero")
    return heights


def _floats(values: Sequence[Value]) -> Floats:
    for i, value in enumerate(values):
        if type(value) not in {int, float}:
            raise Invalid(f"height {i} is a {type(value).__name__}, must be a real number")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise Invalid("a height is larger than a double can be") from None
