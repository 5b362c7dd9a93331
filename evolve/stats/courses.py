"""The course of a run: its best so far against what it has spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: Up to how many times the cost of the best a performance profile looks (Dahl et al., 2023).
FARTHEST = 4.0


@dataclass(frozen=True, slots=True)
class Course:
    """One run: where its best rose, and to what.

    Attributes:
        at: Budget spent at every rise, ascending; at least one.
        best: The best objective from there on, in the objective's own direction.
    """

    at: tuple[float, ...]
    best: tuple[float, ...]

    def value(self, spent: float) -> float:
        """Return the best objective after so much; before the first score, the first."""
        index = int(np.searchsorted(self.at, spent, side="right")) - 1
        return self.best[max(index, 0)]

    def area(self, budget: float) -> float:
        """Return the mean of the best so far over a budget: the area under the curve, scaled."""
        inside = [at for at in self.at[1:] if at < budget]
        edges = np.array([0.0, *inside, budget])
        return float(np.diff(edges) @ np.array(self.best[: len(inside) + 1]) / budget)

    def reached(self, target: float, *, minimize: bool) -> float:
        """Return what was spent when the target was reached, infinite if it never was."""
        hits = (a for a, b in zip(self.at, self.best, strict=True) if _reaches(b, target, minimize))
        return next(hits, math.inf)


def profile(costs: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return, for each way, its cost over the least cost of all, in every instance, sorted.

    The performance profile of Dolan and More (2002): the share of instances in which a way is at
    most so many times as costly as the best one is the share of its ratios up to there. Beside a
    way that spent nothing, as one does whose first program is good enough, any cost is infinite.

    Args:
        costs: For every instance (a problem and seed) what each way spent until it reached the
            target, infinite where it did not.
    """
    ways = list(costs[0]) if costs else []
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for instance in costs:
        least = min(instance.values())
        for way in ways:
            ratios[way].append(_ratio(instance[way], least))
    return {way: sorted(found) for way, found in ratios.items()}


def profile_score(ratios: Sequence[float], farthest: float = FARTHEST) -> float:
    """Return the area under a performance profile from 1 to ``farthest``, scaled to 0 to 1.

    The score by which AlgoPerf ranks training algorithms (Dahl et al., 2023).
    """
    if not ratios:
        return 0.0
    return float(np.mean([max(0.0, farthest - ratio) for ratio in ratios])) / (farthest - 1)


def _ratio(cost: float, least: float) -> float:
    if not math.isfinite(cost):
        return math.inf
    return 1.0 if cost == least else cost / least if least else math.inf


def _reaches(value: float, target: float, minimize: bool) -> bool:
    return value <= target if minimize else value >= target
