"""Single statistics against values worked out elsewhere or by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from evolve.stats.courses import Course, profile, profile_score
from evolve.stats.describe import share_interval, summarize
from evolve.stats.learned import cochrans_q, combined_f_5x2cv, mcnemar, paired_t_5x2cv
from evolve.stats.many import ranking
from evolve.stats.paired import a12, compare_pairs, detectable, holm, pairs_needed, signed_rank


def test_a_summary_has_the_quartiles_and_an_interval_around_the_median() -> None:
    found = summarize([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.n, found.q1, found.median, found.q3) == (5, 2.0, 3.0, 4.0)
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert found == summarize([1.0, 2.0, 3.0, 4.0, 5.0])
    assert summarize([7.0]).low is None
    assert summarize([2.0, 2.0, 2.0]).low == 2.0


def test_the_interval_of_a_median_covers_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        found = summarize(rng.normal(size=25).tolist())
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.0 <= found.high
    assert 0.88 <= covered / 100 <= 1.0


def test_signed_ranks_are_tested_by_all_changes_of_sign() -> None:
    differences = [3.0, -1.0, 2.0, 2.0, 0.0, -0.5]
    ranks = stats.rankdata(np.abs(differences))
    ranks[4] = 0.0  # the zero was ranked, and is left out
    seen = float(ranks @ np.sign(differences))
    sums = [float(ranks @ signs) for signs in itertools.product((-1, 1), repeat=6)]
    extreme = sum(abs(total) >= abs(seen) - 1e-9 for total in sums) / len(sums)
    assert signed_rank(differences) == pytest.approx(extreme)
    assert signed_rank([0.0, 0.0, 0.0]) == 1.0
    assert signed_rank([1.0] * 6) == pytest.approx(2 / 64)


def test_signed_ranks_of_many_pairs_are_tested_exactly() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal(0.3, size=30)  # without ties, so that scipy knows the distribution
    known = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank(differences.tolist()) == pytest.approx(known, rel=1e-9)
    assert signed_rank((-differences).tolist()) == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize(("level", "tests"), [(0.0001, 1), (0.05, 1000), (0.001, 45)])
def test_as_many_pairs_as_it_takes_can_show_a_difference(level: float, tests: int) -> None:
    pairs = pairs_needed(level, tests)
    assert pairs > 13
    assert signed_rank([1.0] * pairs) * tests <= level < signed_rank([1.0] * (pairs - 1)) * tests


def test_pairs_tell_who_wins_by_how_much_and_what_could_be_seen() -> None:
    first, second = [5.0, 6.0, 7.0, 8.0], [1.0, 6.0, 9.0, 2.0]
    found = compare_pairs(first, second)
    assert (found.wins, found.losses, found.difference) == (2, 1, 2.0)
    wins = sum((a > b) + 0.5 * (a == b) for a in first for b in second)
    assert found.a12 == pytest.approx(wins / 16)
    assert found.cliff == pytest.approx(2 * wins / 16 - 1)
    assert a12(second, first) == pytest.approx(1 - found.a12)
    with pytest.raises(ValueError, match="pairs of"):
        compare_pairs([1.0], [])


def test_holm_multiplies_the_smallest_p_by_all_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_how_many_pairs_it_takes_before_anything_can_be_shown() -> None:
    assert pairs_needed(0.05) == 6
    assert signed_rank([1.0] * 6) < 0.05 < signed_rank([1.0] * 5)
    assert pairs_needed(0.05, tests=6) == 8
    assert detectable([1.0, 2.0, 0.0, 1.0, 2.0], 0.05) is None
    assert detectable([1.0] * 20, 0.05) is None


def test_the_detectable_difference_is_shown_about_four_times_in_five() -> None:
    rng = np.random.default_rng(3)
    least = detectable((stats.norm.ppf((np.arange(12) + 0.5) / 12)).tolist(), 0.05)
    assert least is not None
    spread = float(np.std(stats.norm.ppf((np.arange(12) + 0.5) / 12), ddof=1))
    shown = sum(
        signed_rank((least + spread * rng.normal(size=12)).tolist()) <= 0.05 for _ in range(100)
    )
    assert 0.68 <= shown / 100 <= 0.92


def test_ranks_over_problems_and_the_critical_difference() -> None:
    # Demsar (2006), table 5: q for four ways at 0.05 is 2.569; CD = 2.569 sqrt(4*5/(6*14)) = 1.25.
    rng = np.random.default_rng(0)
    scores = rng.random((14, 4)) + np.array([0, 0, 0, 5])
    found = ranking(scores.tolist())
    assert found.critical == pytest.approx(1.25, abs=0.01)
    assert found.ranks[3] == 1.0
    assert found.p < 0.01
    assert ranking([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]).p == 1.0
    with pytest.raises(ValueError, match="three ways"):
        ranking([[1.0, 2.0]])


def test_tests_for_learned_models_agree_with_their_definitions() -> None:
    differences = [[0.02, 0.05], [0.03, 0.01], [0.04, 0.02], [0.05, 0.03], [0.01, 0.04]]
    table = np.array(differences)
    variances = table.var(axis=1, ddof=1)  # of two values: half the sum of squares doubled
    t, f = paired_t_5x2cv(differences), combined_f_5x2cv(differences)
    assert t.statistic == pytest.approx(0.02 / math.sqrt(variances.mean()))
    assert t.p == pytest.approx(2 * stats.t.sf(t.statistic, 5))
    assert f.statistic == pytest.approx((table**2).sum() / (2 * variances.sum()))
    with pytest.raises(ValueError, match="five by two"):
        paired_t_5x2cv([[1.0, 2.0]])


def test_programs_on_the_same_cases() -> None:
    first = [True] * 12 + [False] * 8
    second = [True] * 4 + [False] * 16
    assert mcnemar(first, second).p == pytest.approx(2 * 0.5**8)
    assert mcnemar(first, first).p == 1.0
    third = [True] * 5 + [False] * 15
    table = list(zip(first, second, third, strict=True))
    assert cochrans_q(table).p < 0.01
    assert cochrans_q([(a, a) for a in first]).p == 1.0


def test_a_course_is_followed_to_its_budget() -> None:
    course = Course((1.0, 4.0, 8.0), (10.0, 6.0, 2.0))
    assert [course.value(at) for at in (0.5, 1, 3.9, 4, 7, 8, 99)] == [10, 10, 10, 6, 6, 2, 2]
    assert course.area(10.0) == pytest.approx((4 * 10 + 4 * 6 + 2 * 2) / 10)
    assert course.area(4.0) == pytest.approx(10.0)
    assert course.reached(6.0, minimize=True) == 4.0
    assert course.reached(1.0, minimize=True) == math.inf
    assert Course((1.0, 2.0), (0.0, 5.0)).reached(3.0, minimize=False) == 2.0


def test_performance_profiles_divide_by_the_quickest_of_each_instance() -> None:
    costs = [{"a": 10.0, "b": 20.0}, {"a": 30.0, "b": 15.0}, {"a": math.inf, "b": 5.0}]
    ratios = profile(costs)
    assert ratios == {"a": [1.0, 2.0, math.inf], "b": [1.0, 1.0, 2.0]}
    assert profile_score(ratios["b"]) == pytest.approx((3 + 3 + 2) / 9)
    assert profile_score(ratios["a"]) == pytest.approx((3 + 2 + 0) / 9)


def test_beside_a_way_that_spent_nothing_any_cost_is_infinite() -> None:
    costs = [{"a": 0.0, "b": 5.0, "c": math.inf}, {"a": 0.0, "b": 0.0, "c": 0.0}]
    assert profile(costs) == {"a": [1.0, 1.0], "b": [1.0, math.inf], "c": [1.0, math.inf]}
    nobody = profile([{"a": math.inf, "b": math.inf}])
    assert profile_score(nobody["a"]) == 0.0


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert share_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
