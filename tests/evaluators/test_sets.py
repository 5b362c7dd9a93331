"""Caps, codes, admissible sets, sums, differences and kissing spheres: counted exactly."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.config.python_file import load_module
from tests.evaluators.published import published

EVALUATORS = Path(__file__).parents[2] / "evaluators"
independent: Any = load_module(EVALUATORS / "independent.py")
sumsets: Any = load_module(EVALUATORS / "sumsets.py")
kissing: Any = load_module(EVALUATORS / "kissing.py")


def score(evaluator: Evaluator, output: Any) -> Score:
    result = evaluator.score(Case({}), output, Usage())
    assert isinstance(result, Score)
    return result


@pytest.mark.parametrize(
    ("name", "key", "evaluator", "value"),
    [
        ("capset_8_512_funsearch", "vectors", independent.CapSet(8), 512),
        ("shannon_11_4_754_funsearch", "words", independent.CycleIndependence(11, 4), 754),
        pytest.param(
            "admissible_12_7_792_funsearch",
            "vectors",
            independent.AdmissibleSet(12, 7),
            792,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_published_sets_keep_all_their_words(
    name: str, key: str, evaluator: Any, value: int
) -> None:
    words = published(name)[key]
    assert score(evaluator, words).objective == value
    # One word more is in conflict: these sets are maximal or cannot be improved that way.
    assert score(evaluator, [*words, words[0]]).objective == value
    assert "1 of" in score(evaluator, [*words, words[0]]).feedback


def test_the_published_sums_and_differences_come_out_exactly() -> None:
    found = score(sumsets.SumsAndDifferences(), published("sumdiff_2003_alphaevolve1")["U"])
    assert found.metrics == {"sums": 93803.0, "differences": 807667.0}
    assert f"{found.objective:.10f}" == "1.1479888965"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_caps_have_no_lines_and_no_word_was_left_out_for_nothing(number: int) -> None:
    rng = np.random.default_rng(number)
    words = rng.integers(3, size=(40, 3)).tolist()
    taken = [words[i] for i in independent.CapSet(3).kept(np.array(words))]

    def line(a: list[int], b: list[int], c: list[int]) -> bool:
        return all((x + y + z) % 3 == 0 for x, y, z in zip(a, b, c, strict=True))

    assert not any(line(*three) for three in itertools.combinations(taken, 3))
    for word in words:
        assert word in taken or any(line(a, b, word) for a, b in itertools.combinations(taken, 2))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_independent_words_differ_somewhere_by_two_or_more(number: int) -> None:
    words = np.random.default_rng(number).integers(5, size=(30, 2)).tolist()
    taken = [words[i] for i in independent.CycleIndependence(5, 2).kept(np.array(words))]

    def confused(a: list[int], b: list[int]) -> bool:
        return all((x - y) % 5 in {0, 1, 4} for x, y in zip(a, b, strict=True))

    assert not any(confused(a, b) for a, b in itertools.combinations(taken, 2))
    assert all(any(confused(a, b) for b in taken) for a in words)
    assert len(taken) <= 5, "Shannon: no more than 5 words of length 2"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_admissible_words_agree_with_the_definition(number: int) -> None:
    rng = np.random.default_rng(number)
    words = []
    for _ in range(30):
        word = rng.integers(1, 3, size=5)
        word[rng.choice(5, size=2, replace=False)] = 0
        words.append(word.tolist())
    taken = [words[i] for i in independent.AdmissibleSet(5, 3).kept(np.array(words))]
    good = [[0, 1, 2], [0, 0, 1], [0, 0, 2]]

    def fit(*three: list[int]) -> bool:
        return any(sorted(letters) in good for letters in zip(*three, strict=True))

    supports = [tuple(map(bool, word)) for word in taken]
    assert len(set(supports)) == len(supports)
    assert all(fit(*three) for three in itertools.combinations(taken, 3))
    for word in words:
        assert tuple(map(bool, word)) in supports or not all(
            fit(a, b, word) for a, b in itertools.combinations(taken, 2)
        )


@pytest.mark.parametrize(
    ("evaluator", "word", "message"),
    [
        (independent.CapSet(2), [3, 0], "row 0: x1 is 3, must be between 0 and 2"),
        (independent.CapSet(2), [-1, 0], "row 0: x1 is -1"),
        (independent.CapSet(2), [1.0, 0], "row 0: x1 is a float, must be a whole number"),
        (independent.CapSet(2), [True, 0], "row 0: x1 is a bool"),
        (independent.CapSet(2), [0, 1, 2], "must be 2 numbers"),
        (independent.CycleIndependence(7, 2), [0, 7], "x2 is 7, must be between 0 and 6"),
        (independent.AdmissibleSet(4, 2), [1, 1, 1, 0], "has not 2 letters that are not zero"),
    ],
)
def test_what_is_no_word_is_refused(evaluator: Any, word: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(evaluator, [word])


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"3\^40 words"):
        independent.CapSet(40)
    with pytest.raises(ValueError, match="at least 4"):
        independent.CycleIndependence(3, 2)
    with pytest.raises(ValueError, match="weight 5"):
        independent.AdmissibleSet(4, 5)
    with pytest.raises(ValueError, match="at least 2"):
        kissing.Kissing(1)


@given(st.sets(st.integers(0, 400), min_size=2, max_size=40))
@settings(max_examples=60)
def test_sums_and_differences_are_counted_exactly(elements: set[int]) -> None:
    found = score(sumsets.SumsAndDifferences(), sorted(elements, key=lambda x: (x * 7) % 11))
    assert found.metrics["sums"] == len({a + b for a in elements for b in elements})
    assert found.metrics["differences"] == len({a - b for a in elements for b in elements})


def test_counts_are_right_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    elements = np.unique(np.random.default_rng(1).integers(5000, size=60))
    whole = sumsets.count_sums(elements), sumsets.count_sums(elements, -1)
    monkeypatch.setattr(sumsets, "CHUNK", 97)
    assert (sumsets.count_sums(elements), sumsets.count_sums(elements, -1)) == whole


@given(st.sets(st.integers(0, 60), min_size=2, max_size=20))
@settings(max_examples=60)
def test_the_reach_of_a_difference_base_is_found(elements: set[int]) -> None:
    differences = {a - b for a in elements for b in elements}
    reach = next(v for v in itertools.count(1) if v not in differences) - 1
    if reach == 0:
        with pytest.raises(Invalid, match="1 is not among the differences"):
            score(sumsets.DifferenceBase(), list(elements))
        return
    found = score(sumsets.DifferenceBase(), list(elements))
    assert found.metrics["reach"] == reach
    assert found.objective == pytest.approx(len(elements) ** 2 / reach, rel=1e-15)
    assert found.objective * reach >= len(elements) ** 2


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([0, 1e-9, 2e-9], "number 1 is a float, must be a whole number"),
        ([0, 1.0], "number 1 is a float"),
        ([0, -1], "number 1 is -1, must be between 0"),
        ([0, 10**9 + 1], "number 1 is 1000000001, must be between"),
        ([0, 10**400], "number 1 is a huge number"),
        ([7, 7], "all numbers are the same"),
        ([7], "there are 1 numbers, must be 2 to"),
        (np.array([0.0, 1.0]), "number 0 is a float"),
        ({"U": [0, 1, 3], "value": 2.0}, "not a dict"),
    ],
)
def test_what_is_no_set_of_whole_numbers_is_refused(output: Any, message: str) -> None:
    for evaluator in (sumsets.SumsAndDifferences(), sumsets.DifferenceBase()):
        with pytest.raises(Invalid, match=message):
            score(evaluator, output)


def roots_of_d(dimension: int) -> Any:
    pairs = itertools.combinations(range(dimension), 2)
    signs = list(itertools.product((1, -1), repeat=2))
    unit = np.eye(dimension, dtype=np.int64)
    return np.array([a * unit[i] + b * unit[j] for i, j in pairs for a, b in signs])


def test_lattices_give_their_kissing_numbers() -> None:
    assert score(kissing.Kissing(3), roots_of_d(3)).objective == 12
    assert score(kissing.Kissing(4), roots_of_d(4)).objective == 24
    halves = [v for v in itertools.product((1, -1), repeat=8) if np.prod(v) == 1]
    eight = [*(2 * roots_of_d(8)).tolist(), *map(list, halves)]
    found = score(kissing.Kissing(8), eight)
    assert found.objective == 240
    assert found.measures == {"contacts": 56.0, "lengths": 1.0}


@pytest.mark.parametrize("factor", [1, 10**3, 10**13, 10**29])
def test_large_coordinates_are_exact(factor: int) -> None:
    vectors = [[int(x) * factor for x in row] for row in roots_of_d(4)]
    assert score(kissing.Kissing(4), vectors).objective == 24
    # 60 degrees less a little: out it goes, however small the angle.
    if factor > 1:
        vectors[0][2] += 1
        assert score(kissing.Kissing(4), vectors).objective < 24


def test_irrational_coordinates_are_exact() -> None:
    # The cuboctahedron turned by 45 degrees: x - y, x + y, and sqrt(2) z.
    turned = [[x - y, 0, x + y, 0, 0, z] for x, y, z in roots_of_d(3).tolist()]
    found = score(kissing.Kissing(3), turned)
    assert (found.objective, found.measures["contacts"]) == (12, 4.0)
    large = [[value * 10**15 for value in row] for row in turned]
    assert score(kissing.Kissing(3), large).measures["contacts"] == 4.0
    large[0][4] = 1
    assert score(kissing.Kissing(3), large).objective < 12


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 4), min_size=2, max_size=6))
@settings(max_examples=60)
def test_signs_over_the_root_of_two_agree_with_doubles(rows: list[tuple[int, ...]]) -> None:
    rows = [row for row in rows if any(row)]
    if not rows:
        return
    for dtype in (np.int64, object):
        sign = kissing.Products(np.array(rows, dtype=dtype).reshape(len(rows), 2, 2)).sign
        points = [(a + b * math.sqrt(2), c + d * math.sqrt(2)) for a, b, c, d in rows]
        for i, j in itertools.permutations(range(len(rows)), 2):
            inner = points[i][0] * points[j][0] + points[i][1] * points[j][1]
            cosine = inner / math.hypot(*points[i]) / math.hypot(*points[j])
            if abs(cosine - 0.5) > 1e-9:
                assert (sign[i, j] > 0) == (cosine > 0.5)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([0, 0, 0], "vector 1 is zero"),
        ([0.5, 0.5, 0.0], "row 1: x1 is a float, must be a whole number"),
        ([10**31, 0, 0], "row 1: x1 is a huge number"),
        ([1, 0], "row 1 must be 3 numbers"),
        ([True, 0, 0], "row 1: x1 is a bool"),
    ],
)
def test_what_is_no_vector_is_refused(vector: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(kissing.Kissing(3), [[1, 1, 0], vector])


def test_repeated_and_parallel_vectors_count_once() -> None:
    assert score(kissing.Kissing(3), [[1, 1, 0], [1, 1, 0], [2, 2, 0], [-1, -1, 0]]).objective == 2
