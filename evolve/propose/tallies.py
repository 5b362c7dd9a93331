"""What `evolve.propose.credit.Credit` comes to over a whole run, reckoned by columns.

The same numbers as from telling it one proposal after the other, for runs of a million of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.propose.base import INSTRUCT
from evolve.propose.credit import Scale, Tally
from evolve.store.verdicts import Verdicts

#: Reasons that are outcomes too: `Credit` takes them for evaluated.
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)


def tallies(verdicts: Verdicts, objective: Objective) -> dict[tuple[str, str], Tally]:
    """Return what each operator with each model has come to.

    Args:
        verdicts: What ended of a run.
        objective: Turns objectives into fitness.
    """
    found: dict[tuple[str, str], Tally] = {}
    fitness = verdicts.objective if objective.direction == "maximize" else -verdicts.objective
    over_parent = _gain(fitness, _of_parents(verdicts, fitness))
    over_best = _gain(fitness, _best_before(verdicts.island, fitness))
    names = [operator for operator, _ in verdicts.operators]
    credited = (verdicts.parent >= 0) & np.array([n != INSTRUCT for n in names], dtype=bool)[
        verdicts.operator
    ]
    rewards = 0.5 * _shares(over_parent, credited) + 0.5 * _shares(over_best, credited)
    for number, arm in enumerate(verdicts.operators):
        mine = credited & (verdicts.operator == number)
        if not mine.any():
            continue
        pulls = int(mine.sum())
        found[arm] = Tally(
            pulls=pulls,
            applied=pulls,
            valid=int((mine & ~np.isnan(fitness)).sum()),
            improved=int((mine & (over_parent > 0)).sum()),
            records=int((mine & (over_best > 0)).sum()),
            reward=float(rewards[mine].sum()),
        )
    for each in verdicts.fruitless:
        if each.operator != INSTRUCT:
            tally = found.setdefault((each.operator, each.model), Tally())
            tally.pulls += each.many
            tally.applied += each.many * (each.reason in _OUTCOMES)
    for arm, usd in verdicts.cost_usd.items():
        if arm in found:
            found[arm].cost_usd = usd
    return found


def _of_parents(verdicts: Verdicts, fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fitness that each program is compared with, NaN where none was known then.

    A failed program counts as what it was made from.
    """
    at, program = np.arange(len(fitness)), verdicts.program
    by_id = np.argsort(program)
    place = np.searchsorted(program, verdicts.parent, sorter=by_id)
    parent = by_id[np.minimum(place, len(by_id) - 1)] if len(by_id) else by_id
    known = (program[parent] == verdicts.parent) & (parent < at)
    worth = fitness.copy()
    for row in np.flatnonzero(np.isnan(fitness) & known).tolist():
        worth[row] = worth[parent[row]]
    return np.where(known, worth[parent], math.nan)


def _best_before(island: NDArray[np.int64], fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the best fitness of each one's island before it, NaN where there was none."""
    found = np.full(len(fitness), math.nan)
    for number in np.unique(island):
        mine = np.flatnonzero(island == number)
        found[mine[1:]] = np.fmax.accumulate(fitness[mine])[:-1]
    return found


def _gain(fitness: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nan_to_num(np.maximum(fitness - other, 0.0), nan=0.0, posinf=math.inf)


def _shares(gains: NDArray[np.float64], credited: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how large each gain is beside those before it, see `Scale`."""
    shares, scale = np.zeros(len(gains)), Scale()
    rows = np.flatnonzero(credited & (gains > 0))
    shares[rows] = [scale.share(gain) for gain in gains[rows].tolist()]
    return shares
