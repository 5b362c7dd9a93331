"""Estimates from few samples, beside scipy and beside simulations with a known truth."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from evolve.core.estimates import (
    Estimate,
    Population,
    Spread,
    estimate,
    probability_above,
    robust_estimate,
    t_quantile,
)


def test_mean_and_standard_error_are_the_usual_ones() -> None:
    values = [1.0, 4.0, 4.5, 9.25]
    found = estimate(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.error == pytest.approx(stats.sem(values))
    low, high = stats.t.interval(0.95, 3, loc=found.mean, scale=found.error)
    assert found.half_width() == pytest.approx((high - low) / 2, rel=0.01)


def test_one_sample_has_no_error_and_none_is_refused() -> None:
    assert estimate([3.0]) == Estimate(3.0, None, 1)
    assert estimate([3.0]).half_width() is None
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


@pytest.mark.parametrize("df", [3, 4, 6, 11, 40])
@pytest.mark.parametrize("p", [0.9, 0.95, 0.975, 0.995])
def test_quantiles_are_those_of_student(p: float, df: int) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=0.03)


@pytest.mark.parametrize("df", [2, 3, 6, 11, 40])
@pytest.mark.parametrize("t", [-3.0, -1.0, 0.0, 0.4, 2.0])
def test_probabilities_are_those_of_student(t: float, df: int) -> None:
    assert probability_above(2 * t, 2.0, df) == pytest.approx(stats.t.cdf(t, df), abs=0.03)


def test_without_an_error_nothing_is_certain_and_without_noise_everything_is() -> None:
    assert probability_above(5.0, None, 0) == 0.5
    assert probability_above(0.0, 0.0, 3) == 0.5
    assert probability_above(1e-9, 0.0, 3) == 1.0
    assert probability_above(-1e-9, 0.0, 3) == 0.0


def test_wild_samples_move_a_robust_estimate_little() -> None:
    calm = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 9.9]
    wild = [*calm[:-1], 60.0]
    assert estimate(wild).mean > 16
    assert robust_estimate(wild).mean == pytest.approx(robust_estimate(calm).mean, abs=0.1)
    error = robust_estimate(wild).error
    assert error is not None
    assert error < 0.2
    assert robust_estimate([7.0]) == Estimate(7.0, None, 1)


def test_robust_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(600):
        found = robust_estimate(list(rng.normal(0.0, 1.0, 10)))
        width = found.half_width()
        assert width is not None
        covered += abs(found.mean) <= width
    assert 0.9 < covered / 600 < 0.99


def test_variances_of_few_samples_are_drawn_toward_that_of_all() -> None:
    spread = Spread()
    lucky = Estimate(5.0, 0.0, 3)  # three equal samples by chance
    assert spread.moderate(lucky) == (0.0, 2.0)
    rng = np.random.default_rng(1)
    for _ in range(200):
        spread.tell(estimate(list(rng.normal(0, 2.0, 3))))
    error, df = spread.moderate(lucky)
    assert df == 6.0
    assert error == pytest.approx(math.sqrt(4 * 4 / 6 / 3), rel=0.15)


def test_a_single_sample_has_the_error_of_others() -> None:
    spread = Spread()
    assert spread.moderate(Estimate(1.0, None, 1)) == (None, 0.0)
    spread.tell(Estimate(0.0, 1.0, 4))
    error, df = spread.moderate(Estimate(1.0, None, 1))
    assert df == 4.0
    assert error == pytest.approx(2.0)


def test_shrinking_takes_the_luck_out_of_the_best_of_many() -> None:
    rng = np.random.default_rng(3)
    naive, shrunken = [], []
    for _ in range(300):
        truth = rng.normal(10.0, 1.0, 60)
        seen = truth + rng.normal(0.0, 1.0, 60)
        population = Population.of((float(value), 1.0) for value in seen)
        assert population is not None
        best = int(seen.argmax())
        naive.append(float(seen[best] - truth[best]))
        shrunken.append(population.shrink(float(seen[best]), 1.0)[0] - truth[best])
    assert fmean(naive) > 1.0  # the winner's curse
    assert abs(fmean(shrunken)) < 0.25


def test_values_without_noise_are_not_shrunk_and_equal_ones_are_wholly() -> None:
    spread_out = Population.of([(1.0, 0.1), (5.0, 0.1), (9.0, 0.1), (2.0, 0.1)])
    assert spread_out is not None
    assert spread_out.shrink(9.0, 0.0) == (9.0, 0.0)
    same = Population.of([(1.0, 5.0), (1.1, 5.0), (0.9, 5.0), (1.0, 5.0)])
    assert same is not None
    assert same.shrink(1.1, 5.0)[0] == pytest.approx(1.0)
    assert Population.of([(1.0, 0.1)] * 3) is None
