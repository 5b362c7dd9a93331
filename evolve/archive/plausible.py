"""Choosing among programs by tests that may be wrong themselves, from who passed what.

Where tests are generated, passing most of them is no proof: a wrong test is passed by wrong
programs. Each rule here gives every program a score; those with the largest are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import lgamma
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Passed: TypeAlias = NDArray[np.bool_]
Scores: TypeAlias = NDArray[np.float64]

#: Share by which links count in one round of `mutual`, and the rounds, as in CodeDPO.
DAMPING, ROUNDS = 0.85, 10


class _Groups(NamedTuple):
    """Programs by the tests they pass: one row per group, its size, and each program's group."""

    rows: Passed
    sizes: NDArray[np.int64]
    of: NDArray[np.int64]


def max_pass(passed: Passed) -> Scores:
    """Score every program by the tests that it passes.

    Args:
        passed: Whether a program (row) passes a test (column).
    """
    return np.asarray(passed.sum(axis=1), dtype=float)


def codet(passed: Passed) -> Scores:
    """Score every program by its consensus: the tests it passes, and who passes the same ones.

    The number of tests times the square root of the number of programs, as CodeT's code has it
    (Chen et al., "CodeT: Code Generation with Generated Tests", 2022).

    Args:
        passed: Whether a program (row) passes a test (column).
    """
    groups = _groups(passed)
    consensus = np.sqrt(groups.sizes) * groups.rows.sum(axis=1)
    return np.asarray(consensus[groups.of], dtype=float)


def mutual(passed: Passed) -> Scores:
    """Score programs and tests by each other: good programs pass good tests, and the reverse.

    The self-validation scores of CodeDPO (Zhang et al., 2024), a damped PageRank between the
    two, scaled to a mean of 1 after every round.

    Args:
        passed: Whether a program (row) passes a test (column).
    """
    links = passed.astype(float)
    programs, tests = np.ones(passed.shape[0]), np.ones(passed.shape[1])
    for _ in range(ROUNDS):
        upward, downward = links @ tests, links.T @ programs
        programs = (1 - DAMPING) * programs + DAMPING * upward
        tests = (1 - DAMPING) * tests + DAMPING * downward
        programs, tests = _scaled(programs), _scaled(tests)
    return programs


def b4(passed: Passed, incorrect: float = 10.0, many: float = 10.0) -> Scores:
    """Score every program by the posterior probability that those like it are the correct ones.

    Correct programs pass exactly the correct tests; incorrect ones pass correct and incorrect
    tests with unknown probabilities, which are integrated out. The score is the logarithm, up to
    a constant (Chen et al., "B4: Towards Optimal Assessment of Plausible Code Solutions with
    Plausible Tests", 2024).

    Args:
        passed: Whether a program (row) passes a test (column).
        incorrect: How sure it is beforehand that incorrect programs fail incorrect tests: the
            prior of the probability to pass is Beta(1, ``incorrect``).
        many: How sure it is beforehand that many programs, and many tests, are correct: the
            prior of the share is Beta(``many``, 1).
    """
    groups = _groups(passed)
    scores = []
    for group, row in enumerate(groups.rows):
        others, size, tests = passed[groups.of != group], int(groups.sizes[group]), int(row.sum())
        right, wrong = others[:, row], others[:, ~row]
        scores.append(
            _log_beta(_ones(right) + 1, _zeros(right) + 1)
            + _log_beta(_ones(wrong) + 1, _zeros(wrong) + incorrect)
            + _log_beta(size + many, len(passed) - size + 1)
            + _log_beta(tests + many, len(row) - tests + 1)
        )
    return np.array(scores, dtype=float)[groups.of]


#: Every rule by the name that ``select.rule`` of a problem knows it by.
RULES: Mapping[str, Callable[[Passed], Scores]] = MappingProxyType(
    {"b4": b4, "codet": codet, "max_pass": max_pass, "mutual": mutual}
)


def chosen(scores: Scores) -> Passed:
    """Return which programs have the largest score, equal ones up to rounding included."""
    if not scores.size:
        return np.zeros(0, dtype=bool)
    return np.asarray(np.isclose(scores, scores.max(), rtol=1e-12, atol=1e-9))


def _groups(passed: Passed) -> _Groups:
    rows, of, sizes = np.unique(passed, axis=0, return_inverse=True, return_counts=True)
    return _Groups(rows, sizes, of.reshape(-1))


def _scaled(values: Scores) -> Scores:
    return values / values.mean() if values.any() else values


def _ones(part: Passed) -> int:
    return int(part.sum())


def _zeros(part: Passed) -> int:
    return part.size - int(part.sum())


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
