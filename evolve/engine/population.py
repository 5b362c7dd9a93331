"""The archive of a run together with the individuals in it: who is varied, who is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evolve.archive.base import AddStatus, fold
from evolve.archive.selection import Selector, inspirations
from evolve.archive.spec import ArchiveSpec
from evolve.core.evaluation import Evaluation
from evolve.core.measures import Objective
from evolve.propose.base import Individual
from evolve.store.records import ArchiveEvent

#: Individuals kept in memory; sources of all others stay in the store.
CACHED = 1024


@dataclass(frozen=True, slots=True)
class Placement:
    """What the archive did with an evaluated program; ``event`` only when the archive changed."""

    status: AddStatus | None = None
    cell: int | None = None
    is_best: bool = False
    clipped: tuple[str, ...] = ()
    event: ArchiveEvent | None = None

    @property
    def events(self) -> list[ArchiveEvent]:
        """The changes of the archive."""
        return [] if self.event is None else [self.event]


class Population:
    """The in-memory archive, a fold over the archive events of the store.

    Args:
        load: Reads an individual from the store, by program id.
        spec: What the archive is made from.
        objective: Turns objectives into fitness and back.
        selector: Chooses parents.
        inspirations: How many other elites a proposal sees.
    """

    def __init__(
        self,
        load: Callable[[int], Individual],
        spec: ArchiveSpec,
        objective: Objective,
        selector: Selector,
        *,
        inspirations: int,
    ) -> None:
        self.objective = objective
        self.archive = spec.build(objective.fitness(objective.offset))
        self._selector, self._inspirations = selector, inspirations
        self.individual = lru_cache(maxsize=CACHED)(load)

    def restore(self, events: Sequence[ArchiveEvent]) -> None:
        """Rebuild the archive from committed events, oldest first."""
        fold(self.archive, events)

    def choose(self, rng: np.random.Generator) -> tuple[Individual, tuple[Individual, ...]]:
        """Draw a parent and the inspirations to show with it."""
        parent = self._selector(self.archive, rng)
        others = inspirations(self.archive, parent, self._inspirations, rng)
        return self.individual(parent.key), tuple(self.individual(e.key) for e in others)

    def insert(self, program_id: int, evaluation: Evaluation) -> Placement:
        """Offer an evaluated program to the archive; one without a score changes nothing."""
        if evaluation.score is None:
            return Placement()
        score = evaluation.score
        fitness = self.objective.fitness(score.objective)
        best = self.archive.best
        added = self.archive.add(program_id, fitness, score.measures, score.metrics)
        event = None
        if added.status is not AddStatus.NOT_ADDED:
            event = ArchiveEvent(
                program_id=program_id,
                island=0,
                cell=added.cell,
                status="new" if added.status is AddStatus.NEW else "improve",
                fitness=fitness,
                measures=dict(score.measures),
                replaced=next(iter(added.replaced), None),
            )
        is_best = best is None or fitness > best.fitness
        return Placement(added.status, added.cell, is_best, added.clipped, event)

    @property
    def most_inspirations(self) -> int:
        """How many inspirations a proposal can be shown now."""
        return min(self._inspirations, len(self.archive) - 1)

    def elites(self) -> list[int]:
        """Return the ids of all elites, fittest first."""
        return [elite.key for elite in self.archive.elites()]

    @property
    def best(self) -> Individual | None:
        """The best program in the archive."""
        elite = self.archive.best
        return None if elite is None else self.individual(elite.key)
