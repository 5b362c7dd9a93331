"""Run by `pytest` in this folder."""

import pytest
from evaluate import Inversions, count, slope

from evolve import Case, Invalid, Usage

CASE = Case({"values": [3, 1, 2]}, secret=2)


def test_the_truth_is_true() -> None:
    for values, expected in (([], 0), ([1, 1], 0), ([3, 1, 2], 2), ([4, 3, 2, 1], 6)):
        assert count(values) == expected


def test_a_right_answer_scores_its_time() -> None:
    assert Inversions().score(CASE, 2, Usage(wall_ns=5000)).objective == 5.0


@pytest.mark.parametrize("bad", [3, 2.0, True, "2", None, [2]])
def test_anything_else_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        Inversions().score(CASE, bad, Usage())


def test_a_refusal_does_not_tell_the_truth() -> None:
    with pytest.raises(Invalid) as refusal:
        Inversions().score(CASE, 7, Usage())
    assert "2" not in str(refusal.value)


def test_growth_is_the_exponent() -> None:
    assert slope([(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]) == pytest.approx(2.0)
