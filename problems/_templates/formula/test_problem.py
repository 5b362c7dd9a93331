"""Run by `pytest` in this folder."""

import math

import pytest
from evaluate import SIZES, Queens

from evolve import Case, Invalid


def score(columns: object, n: int = 4) -> float:
    return Queens().score(Case({"n": n}), columns, None).objective


def test_known_values() -> None:
    assert score([1, 3, 0, 2]) == 1.0
    assert score([0, 1, 2, 3]) == 0.25, "all on one diagonal"
    assert score([0, 2, 4, 1, 3], n=5) == 1.0


def test_larger_boards_are_held_out_and_every_case_has_its_size() -> None:
    assert max(SIZES["held_out"]) > max(SIZES["search"])
    for stage in SIZES:
        assert [case.size for case in Queens().cases(stage)] == list(SIZES[stage])


@pytest.mark.parametrize("bad", [math.nan, -1, 4, 1.0, "0", True, None, 10**400])
def test_what_is_no_column_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        score([bad, 3, 0, 2])


@pytest.mark.parametrize("bad", [None, [], [1, 3, 0], [1, 3, 0, 2, 1], [[1], [3], [0], [2]]])
def test_what_is_no_list_of_n_columns_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        score(bad)
