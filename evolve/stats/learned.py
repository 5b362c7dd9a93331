"""Tests for learned models and for programs judged case by case: which one is right more often?

For learners that are trained anew on every half of the data, and for two or more fixed
classifiers, or programs, on the same cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evolve.stats.libraries import library


class Tested(NamedTuple):
    """A statistic and the p-value of what is as extreme where there is no difference."""

    statistic: float
    p: float


def paired_t_5x2cv(differences: Sequence[Sequence[float]]) -> Tested:
    """Test two learners by five replications of twofold cross-validation (Dietterich, 1998).

    Args:
        differences: Five rows of two: the difference of the two learners' scores on either half.

    Raises:
        ValueError: it is not five by two, or all differences are the same.
    """
    table, variances = _replications(differences)
    statistic = float(table[0, 0] / np.sqrt(variances.mean()))
    return Tested(statistic, 2 * float(library("scipy.stats").t.sf(abs(statistic), 5)))


def combined_f_5x2cv(differences: Sequence[Sequence[float]]) -> Tested:
    """Test two learners as `paired_t_5x2cv` does, without its choice of a half (Alpaydin, 1999).

    Raises:
        ValueError: it is not five by two, or all differences are the same.
    """
    table, variances = _replications(differences)
    statistic = float((table**2).sum() / (2 * variances.sum()))
    return Tested(statistic, float(library("scipy.stats").f.sf(statistic, 10, 5)))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Tested:
    """Test two classifiers or programs on the same cases, exactly (McNemar, 1947).

    Args:
        first: Whether the first is right, case by case.
        second: The same of the second.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    found = library("statsmodels.stats.contingency_tables").mcnemar(table, exact=True)
    return Tested(float(found.statistic), float(found.pvalue))


def cochrans_q(right: Sequence[Sequence[bool]]) -> Tested:
    """Test whether several classifiers or programs are right equally often (Cochran, 1950).

    Args:
        right: A row for every case, a column for each of them.
    """
    table = np.asarray(right, dtype=int)
    if (table == table[:, :1]).all():
        return Tested(0.0, 1.0)
    found = library("statsmodels.stats.contingency_tables").cochrans_q(table)
    return Tested(float(found.statistic), float(found.pvalue))


def _replications(
    differences: Sequence[Sequence[float]],
) -> tuple[
    np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    np.ndarray[tuple[int, ...], np.dtype[np.float64]],
]:
    """Return the table, checked, and the variance within each replication."""
    table = np.asarray(differences, dtype=float)
    if table.shape != (5, 2):
        raise ValueError(f"differences are five by two, not {table.shape}")
    variances = ((table - table.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    if not variances.any():
        raise ValueError("both halves of every replication are the same: nothing to test")
    return table, variances
