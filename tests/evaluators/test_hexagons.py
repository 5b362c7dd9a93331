"""Hexagons in a hexagon: published values, the honeycomb, and overlaps that earn nothing."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evolve import Case, Invalid, Score, Usage
from evolve.config.python_file import load_module
from tests.evaluators.published import published

hexagons: Any = load_module(Path(__file__).parents[2] / "evaluators/hexagons.py")
ROOT3 = math.sqrt(3)


def score(output: Any, n: int = 2) -> Score:
    result = hexagons.HexagonPacking(n).score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


@pytest.mark.parametrize(("n", "value"), [(11, "3.93009106619"), (12, "3.94191151711")])
def test_published_packings_are_certified(n: int, value: str) -> None:
    data = published(f"hex_{n}_alphaevolve1")
    found = score([*data["inner"], [*data["center"], data["angle"]]], n)
    assert f"{found.objective:.12f}".startswith(value)
    assert found.objective <= data["side"]  # what the authors claim, rounded up by them
    assert found.metrics["stretch"] == 0


def test_two_hexagons_side_by_side() -> None:
    # Along a common side's normal, 90 degrees, the two need 2 sqrt(3); the outer apothem is half.
    pair = score([[0, 0, 0], [0, 1.8, 0], [0, 0.9, 0]])
    assert pair.objective == pytest.approx((0.9 + ROOT3 / 2) * 2 / ROOT3, rel=1e-15)
    assert pair.measures == {"rotations": 1.0, "contacts": 0.0}
    turned = score([[0, 0, 0], [0, 1.9, 30], [0, 0.95, 0]])
    assert turned.measures["rotations"] == 2.0


def test_overlaps_are_mended_by_stretching() -> None:
    # Centres 1.5 apart must be sqrt(3) apart: that is what an honest program would return.
    overlapping = score([[0, -0.75, 0], [0, 0.75, 0], [0, 0, 0]])
    honest = score([[0, -ROOT3 / 2, 0], [0, ROOT3 / 2, 0], [0, 0, 0]])
    assert overlapping.metrics["stretch"] == pytest.approx(ROOT3 / 1.5 - 1, rel=1e-12)
    assert overlapping.objective == pytest.approx(honest.objective, rel=1e-14)
    assert overlapping.objective >= 2.0
    assert "Hexagons 0 and 1 overlap by 0.232" in overlapping.feedback
    with pytest.raises(Invalid, match=r"hexagons 0 and 1 overlap by 1\.2"):
        score([[0, 0, 0], [0, 0.5, 0], [0, 0, 0]])
    with pytest.raises(Invalid, match="hexagons 0 and 1 overlap by"):
        score([[3, 4, 10], [3, 4, 20], [0, 0, 0]])


def test_an_overlap_within_a_customary_tolerance_earns_nothing() -> None:
    data = published("hex_11_alphaevolve1")
    inner, centre = np.array(data["inner"]), data["center"]
    honest = score([*inner.tolist(), [*centre, data["angle"]]], 11).objective
    for shrink in (1e-5, 1e-6):
        moved = inner.copy()
        moved[:, :2] = centre + (inner[:, :2] - centre) * (1 - shrink)
        found = score([*moved.tolist(), [*centre, data["angle"]]], 11)
        # The file leaves 5.7e-6 of room between two of them, which is all that can be gained.
        assert found.objective > honest - 1e-5
        assert (found.metrics["stretch"] > 0) == (shrink > 2e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_separation_agrees_with_sampled_polygons(number: int) -> None:
    """Compare with another method: two convex polygons overlap if a corner or a side is inside."""
    rng = np.random.default_rng(number)
    degrees = (rng.random(2) * 360).tolist()
    direction = rng.random() * 2 * math.pi
    distance = 1.6 + 0.5 * rng.random()
    place = distance * math.cos(direction), distance * math.sin(direction)
    found = score([[0, 0, degrees[0]], [*place, degrees[1]], [0, 0, 0]])
    one, two = (_outline(degrees[0], (0, 0)), _outline(degrees[1], place))
    depth = max(_depth(one, degrees[1], place), _depth(two, degrees[0], (0, 0)))
    if depth > 1e-3:
        assert found.metrics["stretch"] > 0
    if depth < -1e-3:
        assert found.metrics["stretch"] == 0


def _outline(degrees: float, centre: tuple[float, float]) -> NDArray[np.float64]:
    angles = np.radians(degrees + 60 * np.arange(7))
    corners = np.column_stack([np.cos(angles), np.sin(angles)])
    steps = np.linspace(0, 1, 200)[:, None]
    sides = [a + (b - a) * steps for a, b in itertools.pairwise(corners)]
    outline: NDArray[np.float64] = np.vstack(sides) + np.array(centre)
    return outline


def _depth(outline: NDArray[np.float64], degrees: float, centre: tuple[float, float]) -> float:
    """Return how deep the outline enters a hexagon; negative when it stays outside."""
    angles = np.radians(degrees + 30 + 60 * np.arange(6))
    normals = np.column_stack([np.cos(angles), np.sin(angles)])
    return float((ROOT3 / 2 - ((outline - np.array(centre)) @ normals.T).max(axis=1)).max())


@given(st.floats(0, 360), st.floats(0, 360))
@settings(max_examples=20)
def test_turning_everything_changes_next_to_nothing(turn: float, first: float) -> None:
    places = np.array([[0.0, 0.0], [2.1, 0.3], [0.4, 2.2]])
    angles = np.array([first, 2 * first, 0.0])
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    outer = [1.0, 1.0, 17.0]
    turned = places @ np.array([[c, s], [-s, c]])
    middle = np.array(outer[:2]) @ np.array([[c, s], [-s, c]])
    before = score([*np.column_stack([places, angles]).tolist(), outer], 3).objective
    rows = np.column_stack([turned, angles + turn]).tolist()
    after = score([*rows, [*middle.tolist(), 17.0 + turn]], 3).objective
    assert after == pytest.approx(before, rel=1e-12)


def test_surds_bracket_the_numbers_they_stand_for() -> None:
    for a, b in ((1, 1), (-3, 2), (5, -3), (0, 0)):
        surd = hexagons.Surd(Fraction(a), Fraction(b))
        assert surd.below <= surd.above
        # Squared, sqrt(3) is exact: (above - a)^2 and 3 b^2 are in the right order.
        for bound, sign in ((surd.above, 1), (surd.below, -1)):
            rest = bound - a
            order = (rest * abs(rest)) - 3 * b * abs(b)
            assert order * sign >= 0
    product = hexagons.Surd(Fraction(1), Fraction(2)) * hexagons.Surd(Fraction(3), Fraction(-1))
    assert (product.a, product.b) == (-3, 5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, math.nan, 0.0], "row 1: y is nan"),
        ([101.0, 0.0, 0.0], r"row 1: the centre is at 101\.0"),
        ([0.0, 0.0, 3601.0], r"row 1: degrees is 3601\.0, must be between"),
        ([0.0, 0.0], "row 1 must be 3 numbers x, y, degrees, not 2 entries"),
    ],
)
def test_what_is_no_hexagon_is_refused(row: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score([[0, 0, 0], row, [0, 0, 0]])
    with pytest.raises(ValueError, match="at least 2"):
        hexagons.HexagonPacking(1)
