"""Numbers of programs are read strictly, and what was proven is rounded the right way."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.evaluate.evaluator import Invalid
from evolve.evaluate.outputs import numbers, root, rounded_down, rounded_up, rows, width

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.integers(-(2**70), 2**70) | FINITE, min_size=1, max_size=5))
def test_numbers_come_back_as_they_are(values: list[float]) -> None:
    read = numbers(values, count=(1, 5))
    assert read == values
    assert list(map(type, read)) == list(map(type, values))
    assert rows([values, values], count=2, columns="abcde"[: len(values)]) == [values, values]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "wanted 1 to 3 numbers, not a NoneType"),
        ("12", "not a str"),
        ({}, "not a dict"),
        ([], "there are 0 numbers, must be 1 to 3"),
        ([1, 2, 3, 4], "there are 4 numbers, must be 1 to 3"),
        (np.zeros((2, 2)), r"not an array of shape \(2, 2\)"),
        (np.zeros(2, dtype=bool), "not an array of bool"),
        (np.zeros(2, dtype=complex), "not an array of complex128"),
        (np.zeros(10**7), "there are 10000000 numbers"),
        ([1, True], "entry 1 is a bool, must be a real number"),
        ([1j], "entry 0 is a complex"),
        (["1"], "entry 0 is a str"),
        ([None], "entry 0 is a NoneType"),
        ([[1]], "entry 0 is a list"),
        ([math.nan], "entry 0 is nan, must be between 0 and 10"),
        ([-math.inf], "entry 0 is -inf"),
        ([-0.1], r"entry 0 is -0\.1"),
        ([10.000001], r"entry 0 is 10\.000001"),
        ([10**30], "entry 0 is a huge number, must be between 0 and 10"),
    ],
)
def test_everything_else_is_refused_and_named(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        numbers(output, count=(1, 3), low=0, high=10)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([1, 2], "row 0 must be 2 numbers x, y, not int"),
        ([[1, 2], [1]], "row 1 must be 2 numbers x, y, not 1 entries"),
        ([[1, 2], "ab"], "row 1 must be 2 numbers x, y, not str"),
        ([[1, 2], np.zeros((2, 1))], "row 1 must be 2 numbers x, y, not ndarray"),
        ([[1, 2], np.zeros(2, dtype=complex)], "row 1 must be"),
        ([[1, 2], [1, 2.0]], "row 1: y is a float, must be a whole number"),
        ([[1, 2], [math.inf, 2]], "row 1: x is a float, must be a whole number"),
        (np.zeros((2, 3)), r"wanted 2 rows of 2 numbers, not an array of shape \(2, 3\)"),
        (np.zeros((3, 2)), "there are 3 rows, must be 2"),
        (np.zeros((2, 2)), "row 0: x is a float, must be a whole number"),
        (np.zeros(()), r"not an array of shape \(\)"),
    ],
)
def test_rows_that_are_none_are_refused_and_named(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        rows(output, count=2, columns="xy", whole=True)


def test_what_has_no_bounds_must_be_finite() -> None:
    with pytest.raises(Invalid, match="entry 0 is inf, must be finite"):
        numbers([math.inf], count=1)
    with pytest.raises(Invalid, match="entry 0 is a huge number, must be finite"):
        numbers([10**400], count=1)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([[1, 2, 3]], 3),
        (([1, 2],), 2),
        (np.zeros((4, 5)), 5),
        ([np.zeros(6)], 6),
        ([np.zeros(())], 0),
        (np.zeros(3), 0),
        (np.zeros(()), 0),
        (np.zeros((0, 3)), 0),
        ([], 0),
        ([1], 0),
        ({}, 0),
        ("ab", 0),
    ],
)
def test_width_is_that_of_the_first_row(output: Any, expected: int) -> None:
    assert width(output) == expected


@given(st.fractions())
def test_rounding_claims_no_more_than_was_proven(value: Fraction) -> None:
    below, above = rounded_down(value), rounded_up(value)
    assert below <= value <= above
    assert math.nextafter(below, math.inf) > value
    assert math.nextafter(above, -math.inf) < value


def test_rounding_beyond_all_doubles() -> None:
    huge = Fraction(10) ** 400
    assert rounded_down(huge) == 1.7976931348623157e308
    assert rounded_up(huge) == math.inf
    assert (rounded_down(-huge), rounded_up(-huge)) == (-math.inf, -1.7976931348623157e308)


@given(st.fractions(min_value=0, max_value=10**9))
def test_roots_are_rounded_down(value: Fraction) -> None:
    found = root(value, bits=60)
    assert found**2 <= value < (found + Fraction(1, 2**60)) ** 2
