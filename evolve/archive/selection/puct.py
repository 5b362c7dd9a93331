"""Selection as in tree search, by the best that came of a program and a bonus for the untried."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evolve.archive.base import Elite
from evolve.archive.selection.base import Selector, State, at_least_zero


def puct(*, exploration: float = 1.0) -> Selector:
    """Return a selector of the elite with the largest upper confidence bound; nothing is drawn.

    The bound is ``Q + exploration * scale * P * sqrt(1 + T) / (1 + n)``: Q is the fitness of the
    best child, or the elite's own while it has none; P falls linearly with the rank and sums to 1;
    scale is the range of the elites' fitness; n counts descendants and proposals in vain, T all.
    An elite whose lineage, upwards or downwards, has a proposal under way is passed over, unless
    all have. (TTT-Discover: "Learning to discover at test time", 2026.)

    Args:
        exploration: At least 0.

    Raises:
        ValueError: it is negative, NaN or infinite.
    """
    at_least_zero(exploration=exploration)

    def select(state: State, rng: np.random.Generator) -> int:  # noqa: ARG001 - a Selector
        elites, census = state.elites(), state.census
        count = len(elites)
        scale = elites[0].fitness - elites[-1].fitness
        descendants = census.descendants()
        bonus = exploration * scale * math.sqrt(1 + census.trials)

        def bound(rank: int, elite: Elite) -> float:
            prior = (count - rank) / (count * (count + 1) / 2)
            best = census.best_child.get(elite.key, elite.fitness)
            return best + bonus * prior / (1 + descendants.get(elite.key, 0))

        ranked = list(enumerate(elites))
        free = [each for each in ranked if not _blocked(each[1].key, state.busy, census.parent)]
        return max(free or ranked, key=lambda each: (bound(*each), -each[0]))[1].key

    return select


def _blocked(key: int, busy: Mapping[int, int], parent: Mapping[int, int]) -> bool:
    """Return whether a program is, descends from, or is an ancestor of a busy one."""
    if any(key in _line(other, parent) for other in busy):
        return True
    return not busy.keys().isdisjoint(_line(key, parent))


def _line(key: int, parent: Mapping[int, int]) -> set[int]:
    """Return a program and all its ancestors."""
    line = {key}
    while (above := parent.get(key)) is not None:
        line.add(key := above)
    return line
