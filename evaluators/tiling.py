"""Tilings of square grids that leave out one cell in every row and column, checked cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import rows

COLUMNS = ("row", "column", "height", "width")


class GridTiling(Evaluator):
    """Minimise rectangles on an n x n grid that leave exactly one cell of each row and column bare.

    For n = k^2 the least number is k^2 + 2k - 3 (International Mathematical Olympiad 2025, problem
    6). The objective is the number of rectangles over the least one, averaged over the sizes.

    Args:
        roots: The k of the search cases, each at least 2.
        held_out: The k of the held-out cases.
    """

    def __init__(self, roots: Sequence[int], held_out: Sequence[int]) -> None:
        if not roots or min(*roots, *held_out) < 2:
            raise ValueError(f"roots are {roots} and {held_out}, must all be at least 2")
        self._roots = {"search": tuple(roots), "held_out": tuple(held_out)}

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one grid for each root."""
        for k in self._roots[stage]:
            yield Case({"n": k * k}, name=f"n={k * k}", size=k * k)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - the mode looks at time
        """Check the tiling and count."""
        n = int(str(case.inputs["n"]))
        tiles = [
            (int(top), int(left), int(height), int(width))
            for top, left, height, width in rows(
                output, count=(1, n * n), columns=COLUMNS, low=0, high=n, whole=True
            )
        ]
        _check(tiles, n)
        least = least_tiles(n)
        strips = sum(min(height, width) == 1 for *_, height, width in tiles)
        return Score(
            objective=len(tiles) / least,
            measures={"strips": strips / len(tiles)},
            feedback=f"{len(tiles)} rectangles, {least} are enough.",
        )


def least_tiles(n: int) -> int:
    """Return the least number of rectangles for a square number ``n``."""
    return n + 2 * math.isqrt(n) - 3


def _check(tiles: Sequence[tuple[int, int, int, int]], n: int) -> None:
    """Refuse what is no tiling.

    Raises:
        Invalid: it is not; says where.
    """
    covered = np.zeros((n, n), dtype=bool)
    for i, (top, left, height, width) in enumerate(tiles):
        if not height or not width or top + height > n or left + width > n:
            raise Invalid(f"row {i}: a rectangle of {height} x {width} at {top}, {left} is not one")
        place = covered[top : top + height, left : left + width]
        if place.any():
            down, right = np.argwhere(place)[0]
            raise Invalid(f"row {i}: cell {top + down}, {left + right} is covered already")
        place[:] = True
    for what, bare in (("row", n - covered.sum(axis=1)), ("column", n - covered.sum(axis=0))):
        wrong = np.flatnonzero(bare != 1)
        if wrong.size:
            raise Invalid(f"{what} {wrong[0]} of the grid has {bare[wrong[0]]} bare cells, not one")
