"""Autocorrelation inequalities and minimum overlap: exact bounds, what is refused."""

from __future__ import annotations

import itertools
import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evolve import Case, Invalid, Score, Usage
from evolve.config.problem import load_problem
from evolve.config.python_file import load_module
from tests.evaluators.published import published

ROOT = Path(__file__).parents[2]
autocorrelation: Any = load_module(ROOT / "evaluators/autocorrelation.py")
seed: Any = load_module(ROOT / "problems/autocorrelation_1/seed.py")

SIGNED = autocorrelation.ThirdAutocorrelation(absolute=False)
ABSOLUTE = autocorrelation.ThirdAutocorrelation(absolute=True)

WHOLE = st.lists(st.integers(0, 2**40), min_size=1, max_size=30).filter(any)


def score(output: Any) -> Score:
    result = autocorrelation.FirstAutocorrelation().score(Case({}), output, Usage())
    assert isinstance(result, Score)
    return result


def schoolbook(heights: list[int]) -> Fraction:
    return Fraction(2 * len(heights) * max(knots(heights)), sum(heights) ** 2)


def knots(heights: list[int]) -> list[int]:
    sums = [0] * (2 * len(heights) - 1)
    for i, a in enumerate(heights):
        for j, b in enumerate(heights):
            sums[i + j] += a * b
    return sums


@pytest.mark.parametrize("n", [1, 2, 3, 10, 600])
@pytest.mark.parametrize("height", [1.0, 3.7, 1e-161, 5e-324, 1.7e308])
def test_a_constant_function_proves_exactly_two(n: int, height: float) -> None:
    assert score([height] * n).objective == 2.0


def test_small_functions_by_hand() -> None:
    # H = (1, 2): H*H = (1, 4, 4), so 2 * 2 * 4 / 9.
    assert Fraction(score([1, 2]).objective) - Fraction(16, 9) < Fraction(1, 10**15)
    assert score([1, 2]).objective >= Fraction(16, 9)
    # H = (1, 0, 0): all in one of three cells, so 2 * 3 * 1.
    assert score([1, 0, 0]).objective == 6.0
    # H = (1, 1, 0, 0): H*H peaks at 2, so 2 * 4 * 2 / 4.
    assert score(np.array([1, 1, 0, 0])).objective == 4.0


def test_measures_describe_the_function() -> None:
    even = score([1.0, 0.0, 0.0, 1.0]).measures
    assert even == {"log2_cells": 2.0, "asymmetry": 0.0, "zero_share": 0.5}
    assert score([0, 0, 0, 5]).measures["asymmetry"] == 1.0
    assert score([3, 1]).measures["asymmetry"] == 0.5


def test_feedback_tells_where_the_maximum_is() -> None:
    assert "largest at x = 0.3750; 1 of its 7 knots" in score([0, 0, 0, 1]).feedback


@given(WHOLE)
def test_convolutions_are_exact(heights: list[int]) -> None:
    function = autocorrelation.StepFunction(heights)
    assert function.value == schoolbook(heights)
    reference = np.convolve(np.array(heights, dtype=object), np.array(heights, dtype=object))
    assert function.convolution == reference.tolist()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(any))
@example([2.2250738585e-313])
def test_the_objective_is_the_value_of_the_rounded_heights_rounded_up(heights: list[float]) -> None:
    whole = autocorrelation.integers(np.array(heights))
    assert 2**43 <= max(whole) <= 2**44
    largest = Fraction(max(heights))
    for rounded, height in zip(whole, heights, strict=True):
        assert abs(rounded * largest / max(whole) - Fraction(height)) <= largest * Fraction(
            1, 2**43
        )
    exact = schoolbook(whole)
    objective = score(heights).objective
    assert exact <= Fraction(objective)
    assert math.nextafter(objective, 0) < exact


#: Heights that keep all their digits when they are scaled.
SCALABLE = st.lists(
    st.floats(0, 1).map(lambda height: height if height > 1e-10 else 0.0), min_size=1, max_size=20
).filter(any)


@given(SCALABLE, st.integers(-900, 900))
def test_scaling_by_powers_of_two_changes_nothing(heights: list[float], power: int) -> None:
    scaled = [math.ldexp(height, power) for height in heights]
    assert score(scaled).objective == score(heights).objective


@given(SCALABLE, st.floats(1e-3, 1e3))
def test_other_scaling_mirroring_and_splitting_change_next_to_nothing(
    heights: list[float], factor: float
) -> None:
    value = score(heights).objective
    assert score([height * factor for height in heights]).objective == pytest.approx(value, 1e-11)
    assert score(heights[::-1]).objective == value
    assert score([height for height in heights for _ in range(2)]).objective == value


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(any))
def test_no_function_beats_the_proven_lower_bound(heights: list[float]) -> None:
    assert score(heights).objective > 1.28


@pytest.mark.parametrize(
    ("name", "evaluator", "value"),
    [
        ("ac1_alphaevolve1", autocorrelation.FirstAutocorrelation(), "1.5052939684"),
        ("ac2_alphaevolve1", autocorrelation.SecondAutocorrelation(), "0.8962799442"),
        ("ac3_alphaevolve1", SIGNED, "1.4556427954"),
        ("ac3_alphaevolve1", ABSOLUTE, "4.3340465244"),
        ("ac3abs_alphaevolve1", ABSOLUTE, "1.4687620697"),
        ("erdos_alphaevolve1", autocorrelation.MinimumOverlap(), "0.3809230351"),
    ],
)
def test_published_values_come_out_to_all_digits(name: str, evaluator: Any, value: str) -> None:
    found = evaluator.score(Case({}), published(name)["values"], Usage())
    assert f"{found.objective:.10f}" == value


def test_the_seed_program_improves_on_a_constant() -> None:
    record = load_problem("autocorrelation_1").record
    assert record is not None
    assert record.value < score(seed.construct()).objective < 1.5851


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "not a NoneType"),
        (1.5, "not a float"),
        ("1 1 1", "not a str"),
        ({"heights": [1.0], "bound": 1.0}, "not a dict"),
        ([], "there are 0 numbers"),
        (np.array([]), "there are 0 numbers"),
        ([0.0, 0.0], "all heights are zero"),
        ([0, -0.0], "all heights are zero"),
        ([1.0, math.nan], "height 1 is nan, must be between 0 and"),
        ([math.inf, 1.0], "height 0 is inf, must be"),
        ([1.0, -1e-300], "height 1 is -1e-300, must be between 0"),
        ([10**400, 1.0], "height 0 is a huge number, must be"),
        ([1.0, True], "height 1 is a bool"),
        ([1.0, "2"], "height 1 is a str"),
        ([[1.0, 2.0]], "height 0 is a list"),
        ([1.0, None], "height 1 is a NoneType"),
        ([np.ones(3)], "height 0 is a ndarray"),
        (np.array([1 + 3j, 1]), "complex128"),
        (np.array([True, True]), "array of bool"),
        (np.ones((3, 3)), r"shape \(3, 3\)"),
        (np.ones(()), r"shape \(\)"),
        (np.array([1.0, np.nan]), "height 1 is nan"),
        (np.array([-1, 1]), "height 0 is -1, must be between 0"),
        (np.ones(100_001), "100001 numbers"),
        ([1.0] * 100_001, "100001 numbers"),
        (np.ones(5_000_000), "5000000 numbers"),
    ],
)
def test_anything_but_a_function_is_refused(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(output)


def test_there_is_one_case_and_nothing_held_out() -> None:
    evaluator = autocorrelation.FirstAutocorrelation()
    assert [case.inputs for case in evaluator.cases("search")] == [{}]
    assert list(evaluator.cases("held_out")) == []


def test_thirty_thousand_cells_take_a_moment() -> None:
    heights = np.random.default_rng(0).random(30_000)
    started = time.process_time()
    score(heights)
    assert time.process_time() - started < 3.0


@given(st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=25).filter(any))
def test_convolutions_with_negative_heights_are_exact(heights: list[int]) -> None:
    function = autocorrelation.StepFunction(heights)
    assert function.convolution == knots(heights)
    if sum(heights):
        largest = max(map(abs, knots(heights)))
        assert function.absolute_value == Fraction(2 * len(heights) * largest, sum(heights) ** 2)


@given(st.lists(st.integers(0, 2**30), min_size=1, max_size=12).filter(any))
@settings(max_examples=30)
def test_flatness_is_the_integral_of_the_piecewise_linear_function(heights: list[int]) -> None:
    values = [0, *knots(heights), 0]
    thirds = sum(Fraction(a * a + a * b + b * b, 3) for a, b in itertools.pairwise(values))
    assert autocorrelation.StepFunction(heights).flatness == thirds / (sum(values) * max(values))
    found = autocorrelation.SecondAutocorrelation().score(Case({}), heights, Usage()).objective
    assert found <= 1


def test_bounds_of_the_second_inequality_are_rounded_down() -> None:
    constant = autocorrelation.SecondAutocorrelation().score(Case({}), [1, 1, 1], Usage())
    assert Fraction(constant.objective) < Fraction(2, 3) < math.nextafter(constant.objective, 1)


def test_negative_heights_are_welcome_in_the_third_inequality_only() -> None:
    heights = [3.0, -1.0, 2.0]
    signed = SIGNED.score(Case({}), heights, Usage())
    # H*H = (9, -6, 13, -4, 4), the sum is 4: 2 * 3 * 13 / 16.
    assert signed.objective == 4.875
    assert signed.measures["negative_share"] == 1 / 6
    assert ABSOLUTE.score(Case({}), heights, Usage()).objective == 4.875
    assert ABSOLUTE.score(Case({}), [1, -3, 1.5], Usage()).objective == pytest.approx(288.0)
    assert SIGNED.score(Case({}), [-1.0], Usage()).objective == 2.0
    with pytest.raises(Invalid, match=r"height 1 is -1\.0, must be between 0"):
        score(heights)
    with pytest.raises(Invalid, match="the integral is zero"):
        SIGNED.score(Case({}), [1.0, -1.0], Usage())


def overlap(output: Any) -> Score:
    result = autocorrelation.MinimumOverlap().score(Case({}), output, Usage())
    assert isinstance(result, Score)
    return result


def test_overlaps_by_hand() -> None:
    assert overlap([0.5, 0.5, 0.5]).objective == 0.5
    # h = 1 on the first half: shifted by 1 all of it meets the complement.
    assert overlap([1, 0]).objective == 1.0
    # Halves at both ends: integral of h(x) (1 - h(x + k)) is largest at k = 1/2.
    assert overlap([1, 0, 0, 1]).objective == 0.5
    assert overlap([1, 0]).measures == {"log2_cells": 1.0, "variation": 1.0}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_any_heights_become_admissible(heights: list[float]) -> None:
    one = autocorrelation.ONE
    whole = [round(Fraction(height) * one) for height in heights]
    mended = autocorrelation.balanced(whole)
    assert 2 * sum(mended) == len(mended) * one
    assert all(0 <= height <= one for height in mended)
    if 2 * sum(whole) == len(whole) * one:
        assert mended == whole
    n = len(mended)
    largest = max(
        sum(mended[i] * (one - mended[i + k]) for i in range(max(0, -k), min(n, n - k)))
        for k in range(-n + 1, n)
    )
    exact = Fraction(2 * largest, n * one**2)
    found = overlap(heights)
    assert exact <= Fraction(found.objective)
    assert found.objective > 0.379005, "no function beats the proven lower bound"


def test_a_mean_within_a_customary_tolerance_earns_nothing() -> None:
    honest = published("erdos_alphaevolve1")["values"]
    for factor in (1 - 1e-6, 1 - 1e-4):
        found = overlap([height * factor for height in honest])
        assert found.objective > overlap(honest).objective - 1e-7
        assert "was made 1/2" in found.feedback
    with pytest.raises(Invalid, match=r"height 0 is 1\.0000001, must be between 0 and 1"):
        overlap([1.0000001, 0.0])
