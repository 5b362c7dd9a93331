"""Several ways on several problems: ranks, whether they differ, and by how much they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.stats.libraries import library


@dataclass(frozen=True, slots=True)
class Ranking:
    """Friedman's test with Nemenyi's critical difference (Demsar, 2006).

    Attributes:
        ranks: Mean rank of every way over the problems; 1 is the best.
        p: That they are all alike.
        critical: Mean ranks closer than this are not shown to differ.
    """

    ranks: tuple[float, ...]
    p: float
    critical: float


def ranking(scores: Sequence[Sequence[float]], level: float = 0.05) -> Ranking:
    """Rank ways over problems.

    The chi-squared approximation wants many problems (more than ten) to be exact.

    Args:
        scores: A row for every problem, a column for every way; larger is better.
        level: Of the critical difference, 0 to 1.

    Raises:
        ValueError: there are fewer than three ways or two problems.
    """
    table = np.asarray(scores, dtype=float)
    problems, ways = table.shape
    if ways < 3 or problems < 2:
        raise ValueError("ranking needs three ways and two problems")
    stats = library("scipy.stats")
    ranks = stats.rankdata(-table, axis=1)
    constant = bool((ranks == ranks[0, 0]).all())
    p = 1.0 if constant else float(stats.friedmanchisquare(*table.T).pvalue)
    quantile = float(stats.studentized_range.ppf(1 - level, ways, np.inf)) / np.sqrt(2)
    critical = quantile * np.sqrt(ways * (ways + 1) / (6 * problems))
    return Ranking(tuple(float(rank) for rank in ranks.mean(axis=0)), p, float(critical))
