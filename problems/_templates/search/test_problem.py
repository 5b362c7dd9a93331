"""Run by `pytest` in this folder."""

import math

import pytest
from evaluate import FarApart

from evolve import Case, Invalid

GRID = [[(i % 4) / 3, (i // 4) / 2] for i in range(10)]


def score(output: object) -> float:
    return FarApart(10).score(Case({}), output, None).objective


def test_what_later_programs_begin_with_is_what_was_judged() -> None:
    judged = FarApart(10).score(Case({}), GRID, None)
    assert score(judged.construction) == judged.objective


def test_a_known_value() -> None:
    assert score(GRID) == pytest.approx(1 / 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1, "0", True, None, 10**400])
def test_what_is_no_coordinate_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        score([[bad, 0.5], *GRID[1:]])


@pytest.mark.parametrize("bad", [None, [], GRID[:9], [GRID[0], *GRID[:9]], [[0.5]] * 10])
def test_what_is_no_list_of_ten_points_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        score(bad)
