"""What an evaluator beside the program may say: refused where it is no number, never a failure."""

from __future__ import annotations

import math

import pytest

from evolve import Case, Invalid, Usage
from evolve.evaluate.forgeable import Foreign


@pytest.mark.parametrize("value", [10**400, -(10**400), math.nan, math.inf, "1", True, None, [1]])
def test_a_metric_that_is_no_finite_number_is_refused(value: object) -> None:
    output = {"metrics": {"combined_score": 1.0, "other": value}}
    with pytest.raises(Invalid, match=r"'other' is .*, not a finite number"):
        Foreign().score(Case({}), output, Usage())  # type: ignore[arg-type]  # anything can come


def test_a_mean_beyond_all_doubles_is_refused() -> None:
    with pytest.raises(Invalid, match="mean"):
        Foreign("mean").score(Case({}), {"metrics": {"a": 1e308, "b": 1e308}}, Usage())


def test_whole_numbers_count() -> None:
    found = Foreign("mean").score(Case({}), {"metrics": {"a": 1, "b": 2.0}}, Usage())
    assert (found.objective, found.metrics) == (1.5, {"a": 1.0, "b": 2.0})
