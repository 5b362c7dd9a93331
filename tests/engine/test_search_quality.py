"""The bar for the default way to search, on landscapes that need neither model nor sandbox."""

from __future__ import annotations

import numpy as np

from benchmarks.search.engine import course
from benchmarks.search.landscapes import DECEPTIVE, SMOOTH, Landscape


def reached(landscape: Landscape, preset: str, marks: list[int]) -> list[float]:
    """Return the median of a few seeds after each of some numbers of evaluations."""
    courses = [course(landscape, preset, seed, marks) for seed in range(3)]
    return [float(value) for value in np.median(courses, axis=0)]


def test_the_default_is_as_good_as_hill_climbing_where_climbing_is_all() -> None:
    default, climbing = (reached(SMOOTH, name, [100, 300]) for name in ("adaptive", "greedy"))
    assert all(ours >= theirs for ours, theirs in zip(default, climbing, strict=True))
    assert climbing[-1] > 2 * reached(SMOOTH, "map_elites", [300])[0]


def test_the_default_gets_out_of_where_hill_climbing_is_stuck() -> None:
    (default,), (climbing,) = (reached(DECEPTIVE, name, [1000]) for name in ("adaptive", "greedy"))
    assert climbing < 0.61
    assert default > 0.9
