"""Points far apart and Heilbronn's problem: published values, and what rounding cannot gain."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve import Case, Invalid, Score, Usage
from evolve.config.python_file import load_module
from tests.evaluators.published import published

points: Any = load_module(Path(__file__).parents[2] / "evaluators/points.py")
SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def ratio(output: Any, n: int = 4, dimension: int = 2) -> Score:
    result = points.MaxMinDistance(n, dimension).score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


def smallest(output: Any, n: int, container: str) -> Score:
    result = points.Heilbronn(n, container).score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


@pytest.mark.parametrize(
    ("name", "n", "dimension", "value"),
    [
        ("maxmin_2d_16_alphaevolve1", 16, 2, 12.8892661120346),
        ("maxmin_3d_14_alphaevolve1", 14, 3, 4.1658497672256522),
    ],
)
def test_published_ratios_come_out(name: str, n: int, dimension: int, value: float) -> None:
    assert ratio(published(name)["points"], n, dimension).objective == pytest.approx(value, 1e-14)


@pytest.mark.parametrize(
    ("name", "n", "container", "value"),
    [
        ("heilbronn_tri_11_alphaevolve1", 11, "triangle", 0.0365298898800301),
        ("heilbronn_convex_13_alphaevolve1", 13, "convex", 0.0309368890348956),
        ("heilbronn_convex_14_alphaevolve1", 14, "convex", 0.0278355714584821),
    ],
)
def test_published_areas_come_out(name: str, n: int, container: str, value: float) -> None:
    found = smallest(published(name)["points"], n, container)
    assert found.objective == pytest.approx(value, rel=0, abs=1e-16)
    assert found.metrics["pull"] < 1e-15


def test_small_configurations_by_hand() -> None:
    assert ratio(SQUARE).objective == 2.0
    assert ratio(SQUARE).measures == {"short_pairs": 4.0, "radial_spread": 0.0}
    tetrahedron = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    assert ratio(tetrahedron, 4, 3).objective == 1.0
    assert smallest(SQUARE, 4, "convex").objective == 0.5
    # Corners and centre of the triangle: a third of the area is what three of the four have.
    top = math.sqrt(3) / 2
    corners = [[0, 0], [1, 0], [0.5, top], [0.5, top / 3]]
    third = smallest(corners, 4, "triangle").objective
    assert third == pytest.approx(1 / 3, rel=1e-15)
    assert third < Fraction(1, 3)


def test_ratios_are_rounded_up_and_areas_down() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = [[Fraction(value) for value in row] for row in rng.random((5, 2))]
        squares = [
            (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 for i, a in enumerate(drawn) for b in drawn[:i]
        ]
        exact = max(squares) / min(squares)
        found = ratio([[float(value) for value in row] for row in drawn], 5).objective
        assert found >= exact > math.nextafter(found, 0)


@given(st.integers(0, 2**32 - 1), st.integers(-19, 19))
@settings(max_examples=30)
def test_scale_by_powers_of_two_and_order_change_nothing(number: int, power: int) -> None:
    drawn = np.random.default_rng(number).random((6, 2))
    moved = np.ldexp(drawn[::-1], power)
    assert ratio(moved, 6).objective == ratio(drawn, 6).objective
    assert smallest(moved, 6, "convex").objective == smallest(drawn, 6, "convex").objective


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_points_outside_the_triangle_never_gain(number: int) -> None:
    rng = np.random.default_rng(number)
    corners = np.array([[0, 0], [1, 0], [0.5, math.sqrt(3) / 2]])
    inside = rng.dirichlet([1, 1, 1], size=6) @ corners
    centre = corners.mean(axis=0)
    # Scaled about the centre until the outermost point is on the border, nothing can be better.
    weights = np.linalg.solve(np.vstack([corners.T, np.ones(3)]), np.vstack([inside.T, np.ones(6)]))
    reach = (1 / 3 - weights.min()) * 3
    best = smallest(centre + (inside - centre) / reach, 6, "triangle").objective
    for factor in (1.0, 1.5, 40.0):
        found = smallest(centre + (inside - centre) / reach * factor, 6, "triangle")
        assert found.objective <= best * (1 + 1e-9) + 1e-14
        assert found.objective == pytest.approx(best, rel=1e-9, abs=1e-14)  # one may be tiny
        assert (found.metrics["pull"] > 1e-9) == (factor > 1)


def test_a_point_within_a_customary_tolerance_of_the_border_earns_nothing() -> None:
    honest = np.array(published("heilbronn_tri_11_alphaevolve1")["points"])
    centre = [0.5, math.sqrt(3) / 6]
    farmed = centre + (honest - centre) * (1 + 1e-9)
    assert smallest(farmed, 11, "triangle").metrics["pull"] > 5e-10
    gain = smallest(farmed, 11, "triangle").objective - smallest(honest, 11, "triangle").objective
    assert gain < 1e-16


def test_far_away_points_do_not_provoke_rounding() -> None:
    drawn = np.round(np.random.default_rng(3).random((7, 2)), 3)
    shifted = drawn + 1e5
    exact = smallest((shifted - 1e5) * 1.0, 7, "convex").objective
    assert smallest(shifted, 7, "convex").objective == exact


def test_hulls_leave_out_points_on_edges() -> None:
    grid = [(x, y) for x in range(3) for y in range(3)]
    assert points.convex_hull(grid) == [(0, 0), (2, 0), (2, 2), (0, 2)]
    line = [[float(i), 2.0 * i] for i in range(5)]
    with pytest.raises(Invalid, match="on one line"):
        smallest(line, 5, "convex")
    assert smallest([[0.3, 0.1 * i] for i in range(1, 5)], 4, "triangle").objective == 0.0


def test_coinciding_points_are_refused_and_named() -> None:
    with pytest.raises(Invalid, match="points 0 and 3 coincide"):
        ratio([*SQUARE[:3], [0.0, -0.0]])
    with pytest.raises(Invalid, match="points 0 and 1 coincide"):
        ratio([[3.0, 3.0]] * 4)
    with pytest.raises(Invalid, match=r"row 1: y is 1000001\.0, must be between"):
        ratio([[0, 0], [0, 1000001.0], [1, 1], [2, 2]])
    assert smallest([*SQUARE, [1.0, 1.0]], 5, "convex").objective == 0.0


def test_denormals_do_not_break_the_arithmetic() -> None:
    assert ratio([[5e-324 * value for value in row] for row in SQUARE]).objective == 2.0
    tiny = [[0.0, 0.0], [5e-324, 0.0], [1e6, 1e6], [0.0, 1e6]]
    with pytest.raises(Invalid, match="points 0 and 1 nearly coincide"):
        ratio(tiny)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="dimension is 4, must be 2 or 3"):
        points.MaxMinDistance(16, 4)
    with pytest.raises(ValueError, match="n is 1, must be at least 2"):
        points.MaxMinDistance(1)
    with pytest.raises(ValueError, match="n is 3, must be at least 4"):
        points.Heilbronn(3)
    with pytest.raises(ValueError, match="triangle or convex"):
        points.Heilbronn(11, "square")


def test_what_later_programs_begin_with_has_the_same_value() -> None:
    judge = points.MaxMinDistance(3, seconds=2.0)
    (case,) = judge.cases("search")
    assert case.inputs == {"n": 3, "seconds": 2.0, "start": None}
    output = [[0.1, 0.7], [1e5, -3.0], [1 / 3, 2**-40]]
    judged = judge.score(case, output, Usage())
    assert judged.construction == output
    assert judge.score(case, judged.construction, Usage()).objective == judged.objective
    with pytest.raises(ValueError, match="seconds is 0, must be positive"):
        points.MaxMinDistance(3, seconds=0)
