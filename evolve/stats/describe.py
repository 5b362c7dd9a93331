"""What a sample came to: median, quartiles, and how sure one can be of the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.stats.libraries import library

#: Draws of a bootstrap.
RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Summary:
    """A sample in six numbers.

    Attributes:
        n: Its size.
        median: Its median.
        q1: First quartile; ``q3`` the third.
        low: Lower end of the bootstrap interval of the median; None for fewer than two values.
        high: Its upper end.
    """

    n: int
    median: float
    q1: float
    q3: float
    low: float | None
    high: float | None


def summarize(values: Sequence[float], level: float = 0.95) -> Summary:
    """Return median, quartiles, and a percentile bootstrap interval of the median.

    The draws are the same at every call.

    Args:
        values: At least one number.
        level: Confidence of the interval, 0 to 1.
    """
    data = np.asarray(values, dtype=float)
    q1, median, q3 = (float(q) for q in np.quantile(data, [0.25, 0.5, 0.75]))
    low, high = median_interval(values, level) or (None, None)
    return Summary(len(data), median, q1, q3, low, high)


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a median; None for fewer than two values."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return None
    found = library("scipy.stats").bootstrap(
        (data,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = found.confidence_interval
    return float(interval.low), float(interval.high)


def share_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a share of ``n`` trials (Wilson, 1927)."""
    found = library("scipy.stats").binomtest(hits, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
