"""Round trips through cities in the plane."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import permutation

#: Cities have whole coordinates below this, so that nothing is rounded on the way to a program.
SIDE: Final = 1_000_000
#: Length of the best trip through n random cities in area A over sqrt(n A), for large n; Johnson,
#: McGeoch and Rothberg (1996), *Asymptotic Experimental Analysis for the Held-Karp Traveling
#: Salesman Bound*.
CONSTANT: Final = 0.7124
_SEEDS: Final = {"search": 1, "held_out": 2}


class RoundTrip(Evaluator):
    """Minimise the length of a trip through all cities of a random map.

    Args:
        sizes: Number of cities of each map, at least 3.
    """

    def __init__(self, sizes: tuple[int, ...] = (200, 200, 500, 1000)) -> None:
        if min(sizes, default=0) < 3:
            raise ValueError(f"sizes are {sizes}, must be some and at least 3")
        self._sizes = sizes

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one map of each size."""
        rng = np.random.default_rng(_SEEDS[stage])
        for number, size in enumerate(self._sizes):
            x, y = rng.integers(SIDE, size=(2, size)).tolist()
            yield Case({"x": x, "y": y}, name=f"map {number}")

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Check that the trip is one, and measure its length."""
        x, y = np.array(case.inputs["x"]), np.array(case.inputs["y"])
        tour = np.array(permutation(output, len(x), "city"))
        length = trip_length(x, y, tour)
        expected = CONSTANT * SIDE * math.sqrt(len(x))
        return Score(
            objective=100.0 * (length / expected - 1.0),
            measures={"nearest_share": _nearest_share(x, y, tour)},
            metrics={"length": length},
        )


def trip_length(x: NDArray[np.int64], y: NDArray[np.int64], tour: NDArray[np.int64]) -> float:
    """Return the length of a closed trip; the sum is rounded once."""
    along = np.stack([x[tour], y[tour]])
    steps = along - np.roll(along, -1, axis=1)
    return math.fsum(map(math.hypot, *steps.tolist()))


def _nearest_share(x: NDArray[np.int64], y: NDArray[np.int64], tour: NDArray[np.int64]) -> float:
    """Return the share of cities whose nearest neighbour comes right before or after them."""
    squared = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    np.fill_diagonal(squared, np.iinfo(np.int64).max)
    nearest = squared.min(axis=1)
    steps = squared[tour, np.roll(tour, -1)]
    shorter = np.minimum(steps, np.roll(steps, 1))
    return float(np.mean(shorter == nearest[tour]))
