"""Cells that hold a Pareto front over several objectives.

Pierrot, Richard, Beguir and Cully, "Multi-objective quality diversity optimization", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evolve.archive.base import NO_METRICS, AddResult, Elite, order
from evolve.archive.cells import CellArchive, Tessellation
from evolve.core.measures import Objective


class FrontArchive(CellArchive):
    """Cells that hold what nothing else in them dominates, over fitness and further objectives.

    One elite dominates another when it is at least as good in every objective and better in one.
    An offer that is dominated by an elite of its cell, or equals one in all objectives, is refused;
    those it dominates leave. When a front grows beyond the depth, the one in the densest place
    leaves, by crowding distance (Deb et al., "A fast and elitist multiobjective genetic algorithm",
    2002), the less fit and then the younger of equals; never the fittest of the cell, so that the
    archive's best stays.

    Args:
        tessellation: The cells.
        objectives: Further objectives, each the name of a metric with its direction; at least one.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.
        depth: How many elites a front has at most; at least 2.

    Raises:
        ValueError: no objectives, two of one name, or a front of one.
    """

    def __init__(
        self,
        tessellation: Tessellation,
        objectives: Sequence[Objective],
        *,
        offset: float = 0.0,
        depth: int = 10,
    ) -> None:
        super().__init__(tessellation, offset=offset, depth=depth)
        names = [objective.name for objective in objectives]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a front needs further objectives of distinct names, got {names}")
        if depth < 2:
            raise ValueError(f"depth is {depth}; a front needs room for at least 2 elites")
        self.objectives = tuple(objectives)

    def add(
        self,
        key: int,
        fitness: float,
        measures: Mapping[str, float],
        metrics: Mapping[str, float] = NO_METRICS,
    ) -> AddResult:
        """Offer something; see `evolve.archive.base.Archive.add`.

        Raises:
            ValueError: a number is NaN or infinite, or a measure or an objective is missing.
        """
        if not math.isfinite(fitness):
            raise ValueError(f"fitness is {fitness}, must be finite")
        further = tuple(self._further(objective, metrics) for objective in self.objectives)
        located = self._locate(measures)
        occupants = self._occupants.get(located.cell, [])
        entering = Elite(key, located.cell, fitness, located.values, further)
        if any(_at_least_as_good(elite, entering) for elite in occupants):
            return self._refusal(fitness, located, occupants)
        leaving = [elite for elite in occupants if _at_least_as_good(entering, elite)]
        staying = [elite for elite in occupants if elite not in leaving]
        if len(staying) == self.depth:
            crowded = _most_crowded([*staying, entering])
            if crowded is entering:
                return self._refusal(fitness, located, occupants)
            leaving = [crowded]
        return self._enter(entering, located, occupants, leaving)

    def _further(self, objective: Objective, metrics: Mapping[str, float]) -> float:
        value = metrics.get(objective.name)
        if value is None:
            given = ", ".join(metrics) or "none"
            raise ValueError(f"the metric {objective.name} is missing; given: {given}")
        if not math.isfinite(value):
            raise ValueError(f"metric {objective.name} is {value}, must be finite")
        return objective.fitness(value)


def _vector(elite: Elite) -> tuple[float, ...]:
    return (elite.fitness, *elite.objectives)


def _at_least_as_good(one: Elite, other: Elite) -> bool:
    """Return whether ``one`` dominates ``other`` or equals it."""
    return all(a >= b for a, b in zip(_vector(one), _vector(other), strict=True))


def _most_crowded(front: list[Elite]) -> Elite:
    """Return the elite that a front can best do without; not its fittest."""
    ranked = sorted(front, key=order)
    # Halves, because the difference of two very large numbers is infinite.
    values = np.array([_vector(elite) for elite in ranked]) / 2
    crowding = np.zeros(len(ranked))
    for column in values.T:
        by_value = np.argsort(column, kind="stable")
        ascending = column[by_value]
        span = ascending[-1] - ascending[0]
        crowding[by_value[[0, -1]]] = np.inf
        if span > 0:
            crowding[by_value[1:-1]] += (ascending[2:] - ascending[:-2]) / span
    last = int(crowding[1:][::-1].argmin())  # from the least fit on, the fittest left out
    return ranked[len(ranked) - 1 - last]
