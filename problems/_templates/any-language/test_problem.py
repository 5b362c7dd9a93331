"""Run by `pytest` in this folder."""

import math

import pytest
from evaluate import Split

from evolve import Case, Invalid

CASE = Case({"numbers": [5, 3, 2]})


def test_equal_sums_score_zero() -> None:
    assert Split().score(CASE, [0, 1, 1], None).objective == 0.0


@pytest.mark.parametrize(
    "bad", [None, [], [0, 1], [0, 1, 2], [0, 1, True], [0.0, 1, 1], ["0", 1, 1], [0, 1, math.nan]]
)
def test_what_does_not_say_a_group_for_each_number_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        Split().score(CASE, bad, None)
