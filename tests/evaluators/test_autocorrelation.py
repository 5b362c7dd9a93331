"""The first autocorrelation inequality: exact bounds, published values, what is refused."""

from __future__ import annotations

import json
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

ROOT = Path(__file__).parents[2]
CONSTRUCTIONS = ROOT.parent / "shared/constructions"
autocorrelation: Any = load_module(ROOT / "evaluators/autocorrelation.py")
seed: Any = load_module(ROOT / "problems/autocorrelation_1/seed.py")

WHOLE = st.lists(st.integers(0, 2**40), min_size=1, max_size=30).filter(any)


def score(output: Any) -> Score:
    result = autocorrelation.FirstAutocorrelation().score(Case({}), output, Usage())
    assert isinstance(result, Score)
    return result


def schoolbook(heights: list[int]) -> Fraction:
    n = len(heights)
    sums = [0] * (2 * n - 1)
    for i, a in enumerate(heights):
        for j, b in enumerate(heights):
            sums[i + j] += a * b
    return Fraction(2 * n * max(sums), sum(heights) ** 2)


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
@settings(deadline=None)
def test_convolutions_are_exact(heights: list[int]) -> None:
    function = autocorrelation.StepFunction(heights)
    assert function.value == schoolbook(heights)
    reference = np.convolve(np.array(heights, dtype=object), np.array(heights, dtype=object))
    assert function.convolution == reference.tolist()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(any))
@example([2.2250738585e-313])
@settings(deadline=None)
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
@settings(deadline=None)
def test_scaling_by_powers_of_two_changes_nothing(heights: list[float], power: int) -> None:
    scaled = [math.ldexp(height, power) for height in heights]
    assert score(scaled).objective == score(heights).objective


@given(SCALABLE, st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_other_scaling_mirroring_and_splitting_change_next_to_nothing(
    heights: list[float], factor: float
) -> None:
    value = score(heights).objective
    assert score([height * factor for height in heights]).objective == pytest.approx(value, 1e-11)
    assert score(heights[::-1]).objective == value
    assert score([height for height in heights for _ in range(2)]).objective == value


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(any))
@settings(deadline=None)
def test_no_function_beats_the_proven_lower_bound(heights: list[float]) -> None:
    assert score(heights).objective > 1.28


@pytest.mark.skipif(not CONSTRUCTIONS.is_dir(), reason="published constructions are not here")
def test_the_published_value_comes_out_to_all_digits() -> None:
    values = json.loads((CONSTRUCTIONS / "ac1_alphaevolve1.json").read_text())["values"]
    assert f"{score(values).objective:.10f}" == "1.5052939684"


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
        ([], "0 heights"),
        (np.array([]), "0 heights"),
        ([0.0, 0.0], "all heights are zero"),
        ([0, -0.0], "all heights are zero"),
        ([1.0, math.nan], "height 1 is nan: not finite"),
        ([math.inf, 1.0], "height 0 is inf: not finite"),
        ([1.0, -1e-300], "height 1 is -1e-300: negative"),
        ([10**400, 1.0], "larger than a double"),
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
        (np.array([-1, 1]), "height 0 is -1.0: negative"),
        (np.ones(100_001), "100001 heights"),
        ([1.0] * 100_001, "100001 heights"),
        (np.ones(5_000_000), "5000000 heights"),
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
