"""Which elite was the best when, from archive events: the course of a run whose scores vary.

There the best first score is a lucky one, and an elite that is measured again may fall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from evolve.archive.base import MEASURED
from evolve.core.estimates import Estimate
from evolve.core.measures import Objective
from evolve.store.records import ArchiveEvent


class Lead(NamedTuple):
    """From when on which elite was the best, of an island or of all (None).

    ``program`` is None when an island was given up; ``fitness`` is what the run took it for.
    """

    at: int
    island: int | None
    program: int | None
    fitness: float


class Held:
    """What the archives of a run's islands hold, as events are told in order."""

    def __init__(self) -> None:
        self._islands: dict[int, dict[tuple[int, int], ArchiveEvent]] = {}
        self._best: dict[int, ArchiveEvent] = {}

    def tell(self, event: ArchiveEvent) -> None:
        """Take in what happened."""
        island = event.island
        if event.status == "retired":
            self._islands.pop(island, None)
            self._best.pop(island, None)
            return
        held, place = self._islands.setdefault(island, {}), (event.cell, event.program_id)
        if event.status == MEASURED:
            if place not in held:
                return
            event = replace(held[place], fitness=event.fitness, samples=event.samples)
        else:
            for left in event.replaced:
                held.pop((event.cell, left), None)
        held[place] = event
        best = self._best.get(island)
        stays = best is not None and held.get((best.cell, best.program_id)) is best
        self._best[island] = max((best, event) if best and stays else held.values(), key=_rank)

    def best(self, island: int | None = None) -> ArchiveEvent | None:
        """Return the best elite of an island, or of all; of equal ones the oldest program."""
        if island is not None:
            return self._best.get(island)
        return max(self._best.values(), key=_rank, default=None)

    def elites(self) -> list[ArchiveEvent]:
        """Return all elites by island, cell and program."""
        return [held[place] for _, held in sorted(self._islands.items()) for place in sorted(held)]


class Leads:
    """The best elite of every island and of all, as events are told in order."""

    def __init__(self) -> None:
        self._held = Held()
        self._now: dict[int | None, int | None] = {}

    def tell(self, at: int, event: ArchiveEvent) -> list[Lead]:
        """Take in what happened; return who is the best now where it was another one."""
        self._held.tell(event)
        found = []
        for island in (None, event.island):
            best = self._held.best(island)
            program = None if best is None else best.program_id
            if program != self._now.get(island):
                self._now[island] = program
                found.append(Lead(at, island, program, best.fitness if best else float("nan")))
        return found


def leads(changes: Iterable[tuple[int, ArchiveEvent]]) -> Iterator[Lead]:
    """Yield who became the best elite when.

    Args:
        changes: What happened, in order, each with when it did; what happened after something is
            not taken for earlier.
    """
    told, now = Leads(), 0
    for at, event in changes:
        now = max(now, at)
        yield from told.tell(now, event)


def worth(lead: Lead, known: Mapping[int, Estimate], objective: Objective) -> Estimate:
    """Return what is known by now of who led; without samples what the run took it for."""
    found = None if lead.program is None else known.get(lead.program)
    return found or Estimate(objective.fitness(lead.fitness), None, 1)


def _rank(event: ArchiveEvent) -> tuple[float, int]:
    return event.fitness, -event.program_id
