"""The sign uncertainty principle: published values, exact functions, roots that nothing misses."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve import Case, Invalid, Score, Usage
from evolve.config.python_file import load_module
from tests.evaluators.published import published

uncertainty: Any = load_module(Path(__file__).parents[2] / "evaluators/uncertainty.py")
BITS = uncertainty.ROOT_BITS


def score(output: Any) -> Score:
    result = uncertainty.SignUncertainty().score(Case({}), output, Usage())
    assert isinstance(result, Score)
    return result


def laguerre(degree: int) -> list[Fraction]:
    """Return L_degree with parameter -1/2 by its recurrence."""
    before, now = [Fraction(1)], [Fraction(1, 2), Fraction(-1)]
    if degree == 0:
        return before
    for k in range(1, degree):
        wide = [*now, Fraction(0)]
        times_x = [Fraction(0), *now]
        old = [*before, Fraction(0), Fraction(0)]
        following = [
            ((2 * k + Fraction(1, 2)) * a - b - (k - Fraction(1, 2)) * c) / (k + 1)
            for a, b, c in zip(wide, times_x, old, strict=True)
        ]
        before, now = now, following
    return now


def expand(roots: list[float]) -> list[Fraction]:
    """Return the coefficients of g in the powers of x."""
    places = [round(Fraction(root) * 2**BITS) for root in roots]
    quotient = uncertainty.cofactor(places)
    assert quotient is not None
    g = [Fraction(0)] + [Fraction(a) * 2 ** (BITS * k) for k, a in enumerate(quotient)]
    for place in [*places, *places]:
        z = Fraction(place, 2**BITS)
        g = [a - z * b for a, b in zip([Fraction(0), *g], [*g, Fraction(0)], strict=True)]
    return g


@pytest.mark.parametrize("roots", [[5.0], [3.6, 5.7], [3.64, 5.68, 33.0]])
def test_the_function_has_laguerre_polynomials_of_even_degree_only(roots: list[float]) -> None:
    g = expand(roots)
    assert len(g) == 4 * len(roots) + 3
    coefficients = []
    for degree in reversed(range(len(g))):
        basis = laguerre(degree)
        factor = g[degree] / basis[degree]
        coefficients.append(factor)
        g = [a - factor * b for a, b in zip(g, [*basis, *[Fraction(0)] * len(g)], strict=False)]
    assert not any(g)
    assert not any(coefficients[1::2]), "the odd ones"
    assert any(coefficients[::2])


def test_the_published_value_comes_out_to_all_digits() -> None:
    roots = published("uncertainty_laguerre_alphaevolve1")["roots"]
    assert f"{score(roots).objective:.10f}" == "0.3215872334"


def test_one_root_is_as_good_as_the_published_hermite_polynomials() -> None:
    # The best combination of H_0, H_4, H_8, H_12 has a double root near 5: 0.35209910442.
    value, root = min((score([5 + k / 1000]).objective, 5 + k / 1000) for k in range(-60, 61, 4))
    assert value == pytest.approx(0.35209910442, abs=1e-5)
    assert 4.9 < root < 5.1


def test_last_roots_are_bounded_from_above_and_tightly() -> None:
    unit = 2**BITS

    def polynomial(*roots: int) -> list[int]:
        result = [1]
        for root in roots:
            result = [a - root * b for a, b in zip([0, *result], [*result, 0], strict=True)]
        return result

    for roots in ((3,), (1, 2), (-5, 7), (2, 2, 9), (4, 4), (-1, 0, 1000)):
        found = uncertainty.last_root(polynomial(*(root * unit for root in roots)))
        assert max(roots) <= found <= max(roots) + Fraction(1, 2**64)
    # (x - 1) ((x - 2)^2 + 2^-20): the two complex roots beyond are no sign change.
    square = [4 * unit**2 + unit**2 // 2**20, -4 * unit, 1]
    cubic = [a - unit * b for a, b in zip([0, *square], [*square, 0], strict=True)]
    assert 1 <= uncertainty.last_root(cubic) <= 1 + Fraction(1, 2**64)
    with pytest.raises(Invalid, match="does not change its sign"):
        uncertainty.last_root([unit**2, 0, 1])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True))
@settings(max_examples=15)
def test_beyond_the_last_root_the_function_keeps_its_sign(roots: list[int]) -> None:
    try:
        found = score(roots)
    except Invalid:
        return
    g = expand([float(root) for root in roots])
    last = Fraction(found.objective) * 2 * Fraction(math.pi)

    def sign(x: Fraction) -> int:
        value = sum(a * x**k for k, a in enumerate(g))
        return (value > 0) - (value < 0)

    beyond = {sign(last * (1 + Fraction(k * k, 64)) + Fraction(1, 10**9)) for k in range(40)}
    assert len(beyond - {0}) == 1
    assert sign(last - Fraction(1, 10**6)) != next(iter(beyond - {0}))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([], "there are 0 numbers, must be 1 to 25"),
        ([5.0] * 26, "there are 26 numbers"),
        ([5.0, math.nan], "root 1 is nan"),
        ([-5.0], r"root 0 is -5\.0, must be between"),
        ([0.0], r"root 0 is 0\.0, must be between"),
        ([1e300], r"root 0 is 1e\+300, must be between"),
        (["5"], "root 0 is a str"),
        ({"roots": [5.0], "value": 0.1}, "not a dict"),
    ],
)
def test_what_are_no_roots_is_refused(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(output)


def test_order_does_not_matter() -> None:
    assert score([5.7, 3.6]) == score([3.6, 5.7])
