"""Tilings of grids: counted, and refused where they are none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from evolve import Case, Invalid, Score, Usage
from evolve.config.python_file import load_module

ROOT = Path(__file__).parents[2]
tiling: Any = load_module(ROOT / "evaluators/tiling.py")
seed: Any = load_module(ROOT / "problems/grid_tiling/seed.py")
pinwheel: Any = load_module(ROOT / "problems/grid_tiling/pinwheel.py")


def score(output: Any, n: int) -> Score:
    judge = tiling.GridTiling([2, 3], [4])
    result = judge.score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


@pytest.mark.parametrize("k", range(2, 11))
def test_the_pinwheel_is_the_least_and_the_diagonal_is_not(k: int) -> None:
    n = k * k
    least = score(pinwheel.tile(n), n)
    assert (least.objective, tiling.least_tiles(n)) == (1.0, n + 2 * math.isqrt(n) - 3)
    plain = score(seed.tile(n), n)
    assert plain.objective == (2 * n - 2) / (n + 2 * k - 3)
    assert plain.measures["strips"] == 1.0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([[0, 0, 2, 2]], "row 0 of the grid has 0 bare cells"),
        ([[0, 0, 1, 1]], "row 1 of the grid has 2 bare cells"),
        ([[0, 0, 1, 1], [1, 0, 1, 1]], "column 0 of the grid has 0 bare cells"),
        ([[0, 1, 1, 1], [0, 1, 1, 1]], "cell 0, 1 is covered already"),
        ([[0, 1, 1, 2]], "is not one"),
        ([[0, 1, 0, 1]], "is not one"),
        ([[0, 1, 1, 1], [1, 0, 1, 1.0]], "must be a whole number"),
        ([[0, -1, 1, 1], [1, 0, 1, 1]], "must be between 0 and 2"),
        ([], "there are 0 rows"),
        ([[0, True, 1, 1], [1, 0, 1, 1]], "must be a whole number"),
    ],
)
def test_what_is_no_tiling_is_refused(output: Any, message: str) -> None:
    assert score([[0, 1, 1, 1], [1, 0, 1, 1]], 2).feedback == "2 rectangles, 1 are enough."
    with pytest.raises(Invalid, match=message):
        score(output, 2)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="must all be at least 2"):
        tiling.GridTiling([1, 2], [])
    assert [case.size for case in tiling.GridTiling([2, 3], [4]).cases("search")] == [4, 9]
    assert [case.inputs for case in tiling.GridTiling([2], [4]).cases("held_out")] == [{"n": 16}]
