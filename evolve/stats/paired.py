"""Two ways side by side, seed by seed: is there a difference, how large, and could it be seen?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.stats.describe import median_interval
from evolve.stats.libraries import library

#: Chance with which the smallest difference that a study can show is to be seen.
POWER = 0.8
#: How many pairs of normal data a signed-rank test needs for what the t test sees in 0.955.
EFFICIENCY = 3 / math.pi
#: From which A12 on, or 1 - A12, a difference is called so (Vargha and Delaney, 2000).
MAGNITUDES = ((0.71, "large"), (0.64, "medium"), (0.56, "small"))


@dataclass(frozen=True, slots=True)
class Paired:
    """A comparison of two samples of pairs, as seen from the first; larger is better.

    Attributes:
        n: Pairs.
        wins: Pairs in which the first is better; ``losses`` in which it is worse.
        difference: Median of the differences, first minus second.
        low: Lower end of its 95 % bootstrap interval; None for fewer than two pairs.
        high: Its upper end.
        p: Two-sided p-value of the signed-rank test.
        a12: Chance that a run of the first is better than one of the second, ties half.
    """

    n: int
    wins: int
    losses: int
    difference: float
    low: float | None
    high: float | None
    p: float
    a12: float

    @property
    def cliff(self) -> float:
        """Cliff's delta: wins minus losses over all pairs of runs, -1 to 1."""
        return 2 * self.a12 - 1

    @property
    def magnitude(self) -> str:
        """The size of the difference in a word."""
        side = max(self.a12, 1 - self.a12)
        return next((word for bound, word in MAGNITUDES if side >= bound), "negligible")


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two samples whose values belong together in pairs; larger is better.

    Raises:
        ValueError: they differ in length, or are empty.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"pairs of {len(first)} and {len(second)} values")
    differences = np.subtract(first, second)
    low, high = median_interval(differences.tolist()) or (None, None)
    return Paired(
        n=len(differences),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        difference=float(np.median(differences)),
        low=low,
        high=high,
        p=signed_rank(differences.tolist()),
        a12=a12(first, second),
    )


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, by changes of sign.

    Zeros are ranked and then left out (Pratt, 1959). The null distribution is that of the very
    ranks over all changes of sign, so ties do no harm. It is built pair by pair, as twice a rank is
    a whole number.
    """
    data = np.asarray(differences, dtype=float)
    apart = data != 0
    if not apart.any():
        return 1.0
    ranks = np.rint(2 * library("scipy.stats").rankdata(np.abs(data)))[apart].astype(int)
    chance = np.ones(1)  # of every sum of the ranks of positive differences
    for rank in ranks.tolist():
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    sums = 2 * np.arange(len(chance)) - ranks.sum()  # positive minus negative
    seen = abs(int(ranks @ np.sign(data[apart]).astype(int)))
    return min(1.0, float(chance[np.abs(sums) >= seen].sum()))


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the chance that one of ``first`` is larger than one of ``second``, ties half.

    The measure of stochastic superiority of Vargha and Delaney (2000): U over the number of
    pairs.
    """
    found = library("scipy.stats").mannwhitneyu(first, second, method="asymptotic")
    return float(found.statistic) / (len(first) * len(second))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may be looked at together, each with the level as it is (Holm, 1979)."""
    if not len(p_values):
        return []
    multitest = library("statsmodels.stats.multitest")
    return [float(p) for p in multitest.multipletests(p_values, method="holm")[1]]


def pairs_needed(level: float, tests: int = 1) -> int:
    """Return how many pairs there must be before the signed-rank test can reject at all.

    Args:
        level: Of the family, 0 to 1.
        tests: How many are made.
    """
    return math.ceil(math.log2(2 * tests / level))


def detectable(differences: Sequence[float], level: float, tests: int = 1) -> float | None:
    """Return the true difference that such a study would show in four cases of five.

    From the spread of the differences, by the power of the t test at the level that the smallest
    of the p-values has to meet; for data far from normal it is a rough guide.

    Args:
        differences: Of the pairs.
        level: Of the family, 0 to 1.
        tests: How many are made.

    Returns:
        In the unit of the differences; None when no difference could be shown, or all are alike.
    """
    n = len(differences)
    spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    if n < pairs_needed(level, tests) or spread == 0:
        return None
    power = library("statsmodels.stats.power").TTestPower()
    size = power.solve_power(nobs=n * EFFICIENCY, alpha=level / tests, power=POWER)
    return float(size) * spread
