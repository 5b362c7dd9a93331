"""Packings of discs: exact certificates, published values, and everything that is refused."""

from __future__ import annotations

import io
import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evolve import Case, Invalid, Score, Usage
from evolve.config.problem import load_problem
from evolve.config.python_file import load_module
from tests.evaluators.published import published

ROOT = Path(__file__).parents[2]
packing: Any = load_module(ROOT / "evaluators/packing.py")
seed: Any = load_module(ROOT / "problems/circle_packing_26/seed.py")


def score(output: Any, n: int = 26) -> Score:
    result = packing.CirclePacking(n).score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


def rectangle(output: Any, n: int) -> Score:
    result = packing.RectanglePacking(n).score(Case({"n": n}), output, Usage())
    assert isinstance(result, Score)
    return result


def exact_objective(output: list[list[float]]) -> Fraction:
    """Certify by another route: square the inequality instead of taking its root."""
    discs = [tuple(map(Fraction, disc)) for disc in output]

    def fits(cut: Fraction) -> bool:
        cut_discs = [(x, y, r - cut) for x, y, r in discs]
        inside = all(r <= min(x, 1 - x, y, 1 - y) for x, y, r in cut_discs)
        return inside and all(
            a[2] + b[2] <= 0 or (a[2] + b[2]) ** 2 <= (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
            for i, a in enumerate(cut_discs)
            for b in cut_discs[:i]
        )

    low, high = Fraction(0), Fraction(1)
    if fits(low):
        return sum((r for _, _, r in discs), Fraction(0))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return sum((r for _, _, r in discs), Fraction(0)) - len(discs) * high


def test_two_circles_by_hand() -> None:
    apart = score([[0.25, 0.25, 0.25], [0.75, 0.75, 0.25]], n=2)
    assert apart.objective == 0.5
    assert apart.metrics["cut"] == 0
    assert "Nothing overlaps" in apart.feedback
    # Centres 1/2 apart, radii 1/4 and 3/8: an overlap of 1/8 costs each radius 1/16.
    cut = score([[0.25, 0.5, 0.25], [0.75, 0.5, 0.375]], n=2)
    assert cut.objective == 0.25 + 0.375 - 2 * 0.125  # the wall cuts deeper than the pair: 1/8
    pair = score([[0.25, 0.5, 0.25], [0.625, 0.5, 0.25]], n=2)
    assert pair.objective == 0.5 - 2 * 0.0625
    assert pair.metrics["cut"] == 0.0625
    assert "Discs 0 and 1 overlap by 0.125" in pair.feedback


def test_the_seed_program_is_the_grid_with_one_gap_filled() -> None:
    found = score(seed.pack(26))
    grid = 2.5 + (math.sqrt(2) - 1) / 10
    assert grid - 1e-14 < found.objective <= grid
    assert found.measures["wall_contacts"] == 16 / 26
    assert score(seed.pack(26).tolist()) == found


def test_a_mathematically_tight_packing_keeps_its_value_but_for_rounding() -> None:
    # Doubles cannot hold these centres: the certificate costs about 1e-16, never gains.
    third = 1 / 6
    tight = [[(2 * i + 1) / 6, (2 * j + 1) / 6, third] for i in range(3) for j in range(3)]
    assert 1.5 - 1e-14 < score(tight, n=9).objective <= 1.5


@pytest.mark.parametrize(("n", "value"), [(26, 2.635862756413698), (32, 2.9379445262055)])
def test_published_values_come_out_to_all_digits(n: int, value: float) -> None:
    points = published(f"circles_sq_{n}_alphaevolve1")["points"]
    assert score(points, n).objective == pytest.approx(value, rel=0, abs=5e-14)
    assert score(points, n).metrics["cut"] == 0


def test_the_published_packing_of_a_rectangle_comes_out_to_all_digits() -> None:
    circles = published("circles_rect_21_alphaevolve1")["circles"]
    found = rectangle(circles, 21)
    assert found.objective == pytest.approx(2.3658321334167631, rel=0, abs=5e-16)
    assert found.metrics["cut"] == 0


def test_rectangles_by_hand() -> None:
    # Two equal circles side by side: 4 r + 2 r = 2.
    third = Fraction(1, 3)
    apart = rectangle([[float(third), 0.5, 0.25], [1.0, 0.5, 0.25]], 2)
    assert apart.objective == 0.5
    assert apart.measures["aspect"] == pytest.approx(0.5 / (0.5 + 2 / 3))
    # Half-perimeter 3: cutting c from both radii takes 4 c from it, so each loses 1/4.
    large = rectangle([[0.0, 0.0, 0.5], [1.0, 0.0, 0.5]], 2)
    assert large.metrics["cut"] == 0.25
    assert large.objective == 0.5
    assert "discs and the rectangle overlap by 1" in large.feedback
    with pytest.raises(Invalid, match="nothing of disc 0"):
        rectangle([[0.0, 0.0, 0.5], [10.0, 0.0, 0.5]], 2)
    with pytest.raises(Invalid, match=r"radius is -0\.5, must be positive"):
        rectangle([[0.0, 0.0, 0.5], [1.0, 0.0, -0.5]], 2)


def test_a_perimeter_within_a_customary_tolerance_earns_nothing() -> None:
    circles = np.array(published("circles_rect_21_alphaevolve1")["circles"])
    assert rectangle(circles * (1 + 1e-6), 21).objective < rectangle(circles, 21).objective + 4e-8
    for growth in (1e-7, 1e-6, 1e-5):
        grown = circles.copy()
        grown[:, 2] += growth
        # The file is rounded to eight digits and leaves 5e-9 between circles, and no more.
        assert rectangle(grown, 21).objective < rectangle(circles, 21).objective + 1.2e-7


def test_the_record_line_is_above_every_certified_value() -> None:
    record = load_problem("circle_packing_26").record
    assert record is not None
    assert 2.63598308 < record.value < 2.635984


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_certificates_agree_with_another_method(number: int) -> None:
    rng = np.random.default_rng(number)
    n = int(rng.integers(2, 6))
    output = np.column_stack([rng.random((n, 2)), rng.random(n) * 0.3 + 0.01]).tolist()
    expected = exact_objective(output)
    try:
        found = score(output, n)
    except Invalid:
        radii = [Fraction(r) for _, _, r in output]
        assert (sum(radii) - expected) / n >= min(radii) * Fraction(999, 1000)
        return
    assert Fraction(found.objective) <= expected + Fraction(1, 2**90)
    assert float(expected) - found.objective < 1e-14


@given(st.floats(1e-15, 1e-3), st.integers(0, 25))
@settings(max_examples=40)
def test_growing_a_tight_circle_never_gains(extra: float, which: int) -> None:
    discs = seed.pack(26)
    before = score(discs).objective
    discs[which, 2] += extra
    after = score(discs)
    assert after.objective < discs[:, 2].sum() + 1e-15
    assert after.objective < before + 1e-15


@given(st.permutations(range(26)), st.booleans())
@settings(max_examples=20)
def test_order_and_reflection_do_not_matter(order: list[int], swap: bool) -> None:
    discs = seed.pack(26)[order]
    if swap:
        discs = discs[:, [1, 0, 2]]
    assert score(discs).objective == score(seed.pack(26)).objective


def test_an_overlap_within_a_customary_tolerance_earns_nothing() -> None:
    farmed = seed.pack(26)
    honest = score(farmed).objective
    farmed[:, 2] += 1e-6
    assert score(farmed).objective <= honest
    farmed[:, 2] += 1e-10
    assert score(farmed).objective <= honest


GRID = seed.pack(26).tolist()


def changed(row: int, column: int, value: Any) -> list[Any]:
    copy: list[Any] = [list(line) for line in GRID]
    copy[row][column] = value
    return copy


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "not a NoneType"),
        ("26 circles", "not a str"),
        (2.6359, "not a float"),
        ({"circles": GRID, "sum": 99.0}, "not a dict"),
        ([], "there are 0 rows"),
        (GRID[:-1], "there are 25 rows, must be 26"),
        ([*GRID, GRID[0]], "there are 27 rows"),
        (np.zeros((26, 2)), r"shape \(26, 2\)"),
        (np.zeros(78), r"shape \(78,\)"),
        (np.zeros((26, 3, 1)), r"shape \(26, 3, 1\)"),
        (np.zeros((2_000_000, 3)), r"there are 2000000 rows"),
        ([0.5] * 26, "row 0 must be 3 numbers x, y, r"),
        ([[0.5, 0.5]] * 26, "row 0 must be 3 numbers x, y, r"),
        ([GRID, GRID] * 13, "row 0 must be 3 numbers x, y, r"),
        ([np.zeros((3, 1))] * 26, "row 0 must be 3 numbers x, y, r"),
        (changed(3, 0, math.nan), "row 3: x is nan"),
        (changed(3, 1, math.inf), "row 3: y is inf"),
        (changed(3, 2, -math.inf), "row 3: r is -inf"),
        (changed(7, 2, math.nan), "row 7: r is nan"),
        (changed(7, 2, -0.1), "row 7: r is -0.1"),
        (changed(7, 2, 0.0), "row 7: the radius is 0.0, must be positive"),
        (changed(7, 2, 1e6), "row 7: r is 1000000.0"),
        (changed(7, 0, 10**4000), "row 7: x is a huge number"),
        (changed(7, 0, 1.0000001), "row 7: x is 1.0000001"),
        (changed(5, 0, True), "row 5: x is a bool"),
        (changed(5, 1, "0.5"), "row 5: y is a str"),
        (changed(5, 2, None), "row 5: r is a NoneType"),
        (changed(5, 2, [0.1]), "row 5: r is a list"),
        (changed(5, 2, {}), "row 5: r is a dict"),
        (np.ones((26, 3), dtype=bool), "an array of bool"),
        (np.full((26, 3), 0.1 + 0.1j), "an array of complex128"),
        (np.full((26, 3), np.nan), "x is nan"),
    ],
)
def test_anything_but_a_packing_is_refused(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(output)


def test_rows_may_be_arrays_and_whole_numbers() -> None:
    rows = [np.array(row) for row in GRID]
    assert score(rows) == score(GRID)
    assert score(np.float32(GRID)).objective < 2.5414214


def test_coinciding_circles_are_refused_and_named() -> None:
    twice = changed(4, 0, GRID[9][0])
    twice[4][1] = GRID[9][1]
    with pytest.raises(Invalid, match=r"discs 4 and 9 overlap by 0\.2: .* nothing of disc 25"):
        score(twice)


def test_a_circle_that_touches_nothing_is_named() -> None:
    small = changed(12, 2, 0.05)
    assert "discs 12 touch nothing" in score(small).feedback


def test_denormal_radii_do_not_break_the_arithmetic() -> None:
    tiny = score([[0.25, 0.25, 5e-324], [0.75, 0.75, 0.25]], n=2)
    assert tiny.objective == 0.25


def test_there_is_one_case_and_nothing_held_out() -> None:
    evaluator = packing.CirclePacking()
    assert [case.inputs for case in evaluator.cases("search")] == [{"n": 26}]
    assert list(evaluator.cases("held_out")) == []
    with pytest.raises(ValueError, match="at least 2"):
        packing.CirclePacking(n=1)


def test_scoring_takes_milliseconds() -> None:
    took = []
    for _ in range(5):
        started = time.process_time()
        score(GRID)
        took.append(time.process_time() - started)
    assert min(took) < 0.1, "at best: what else this process does in between is not meant"


def test_a_drawing_shows_discs_and_what_they_touch() -> None:
    discs = [[0.25, 0.25, 0.25], [0.75, 0.25, 0.25], [0.5, 0.8, 0.1]]
    evaluator = packing.CirclePacking(3, picture=True)
    score = evaluator.score(Case({}), discs, Usage())
    with Image.open(io.BytesIO(score.images["packing"])) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (320, 320)
    at = {"left disc": (0.2, 0.3), "loose disc": (0.5, 0.8), "nothing": (0.1, 0.9)}
    shades = {what: pixels[round((1 - y) * 320), round(x * 320)] for what, (x, y) in at.items()}
    assert shades == {"left disc": 210, "loose disc": 150, "nothing": 255}
    contact = pixels[319 - 80, 90:230]  # from centre to centre
    assert (contact == 0).all()
    assert (pixels[round(0.2 * 320), 90:230] != 0).any()
    assert not packing.CirclePacking(3).score(Case({}), discs, Usage()).images


def test_what_later_programs_begin_with_is_the_packing_after_the_cut() -> None:
    judged = score([[0.25, 0.5, 0.25], [0.625, 0.5, 0.25]], n=2)
    assert judged.construction == [[0.25, 0.5, 0.1875], [0.625, 0.5, 0.1875]]
    again = score(judged.construction, n=2)
    assert (again.objective, again.metrics["cut"]) == (judged.objective, 0.0)
    searching = packing.CirclePacking(2, seconds=2.0)
    (case,) = searching.cases("search")
    assert case.inputs == {"n": 2, "seconds": 2.0, "start": None}
