"""What every archive is, whatever its cells look like: the `Archive` protocol and its values."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.stats import ArchiveStats
from evolve.core.measures import Measure

#: ``status`` of the event that an elite has another fitness, since it was measured again.
MEASURED = "measured"
#: The metrics of an offer to an archive that looks at none.
NO_METRICS: Mapping[str, float] = MappingProxyType({})


class AddStatus(enum.IntEnum):
    """What an archive did with what it was offered; a larger status is a larger success.

    ``NEW``: it opened an empty cell. ``IMPROVE_EXISTING``: it entered an occupied one, in another's
    place or beside others.
    """

    NOT_ADDED = 0
    IMPROVE_EXISTING = 1
    NEW = 2


class AddResult(NamedTuple):
    """The outcome of one `Archive.add`.

    Attributes:
        status: Whether it was added, and whether its cell was empty.
        cell: Index of its cell.
        improvement: Fitness gained over the fittest of its cell, zero or less when it is not
            fitter; the fitness itself in an empty cell.
        replaced: Keys of the elites that left, in the order of `Archive.elites`.
        clipped: Names of the measures that lay outside their bounds.
    """

    status: AddStatus
    cell: int
    improvement: float
    replaced: tuple[int, ...]
    clipped: tuple[str, ...]


class Clipped(NamedTuple):
    """How many values lay ``below`` and ``above`` the bounds of a measure."""

    below: int
    above: int


@dataclass(frozen=True, slots=True)
class Elite:
    """An occupant of a cell.

    Attributes:
        key: What the caller knows it by.
        cell: Index of its cell.
        fitness: The objective, turned so that larger is better.
        measures: One value for each axis, as given: not clipped.
        objectives: The further objectives of a Pareto front, each turned so that larger is better;
            none in other archives.
    """

    key: int
    cell: int
    fitness: float
    measures: tuple[float, ...]
    objectives: tuple[float, ...] = ()


def order(elite: Elite) -> tuple[float, int, int]:
    """Return the sort key of `Archive.elites`: fittest first, then by key and cell."""
    return (-elite.fitness, elite.key, elite.cell)


class Archive(Protocol):
    """A collection of elites over measures: the fittest of every kind it was offered.

    What an archive holds depends on the offers and their order alone, and an offer that is not
    added changes nothing: adding again, in order, what was added rebuilds the same archive.
    Positions are in the unit cube: each measure scaled to 0..1 between its bounds, so that
    distances between positions mean the same along every axis.
    """

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The axes; at least one."""
        ...

    @property
    def cells(self) -> int | None:
        """How many cells there are, occupied or not; None when new ones can always open."""
        ...

    @property
    def best(self) -> Elite | None:
        """The fittest elite, the smallest key among equals; None while the archive is empty."""
        ...

    @property
    def clipped(self) -> Mapping[str, Clipped]:
        """How many additions lay outside the bounds, by measure and side."""
        ...

    def add(
        self,
        key: int,
        fitness: float,
        measures: Mapping[str, float],
        metrics: Mapping[str, float] = NO_METRICS,
    ) -> AddResult:
        """Offer something to the archive.

        Args:
            key: What the caller knows it by, for instance a program's number.
            fitness: The objective, turned so that larger is better; finite.
            measures: A finite value for each axis; further names are ignored.
            metrics: Further numbers, for archives of several objectives.

        Raises:
            ValueError: a number is NaN or infinite, or one is missing.
        """
        ...

    def revise(self, key: int, fitness: float) -> None:
        """Give an elite another fitness in its place; nothing happens to one that is not there.

        Raises:
            ValueError: the fitness is NaN or infinite.
        """
        ...

    def elites(self) -> list[Elite]:
        """Return all elites, fittest first, ties by key."""
        ...

    def champions(self) -> list[Elite]:
        """Return the fittest elite of every occupied cell, in the order of `elites`."""
        ...

    def occupants(self, cell: int) -> tuple[Elite, ...]:
        """Return the elites of one cell, in the order of `elites`; none when it is empty."""
        ...

    def positions(self) -> NDArray[np.float64]:
        """Return where the cells of `elites` are, in their order, shape ``(elites, axes)``.

        The array is read-only, and the same one until an elite changes.
        """
        ...

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return where cells are.

        Args:
            cells: Indices, of any shape.

        Returns:
            Positions between 0 and 1; the shape of ``cells`` and then one entry for each axis.
        """
        ...

    def stats(self) -> ArchiveStats:
        """Return coverage, QD score, best and mean; takes time in proportion to the elites."""
        ...

    def __len__(self) -> int:
        """Return the number of elites."""
        ...

    def __iter__(self) -> Iterator[Elite]:
        """Iterate over `elites`."""
        ...


class Entry(Protocol):
    """What once entered an archive; `evolve.store.records.ArchiveEvent` is one."""

    @property
    def status(self) -> str: ...  # noqa: D102 - see ArchiveEvent
    @property
    def program_id(self) -> int: ...  # noqa: D102 - see ArchiveEvent
    @property
    def fitness(self) -> float: ...  # noqa: D102 - see ArchiveEvent
    @property
    def measures(self) -> Mapping[str, float]: ...  # noqa: D102 - see ArchiveEvent
    @property
    def metrics(self) -> Mapping[str, float]: ...  # noqa: D102 - see ArchiveEvent


def fold(archive: Archive, entries: Iterable[Entry]) -> None:
    """Repeat what once happened to an archive on an empty one of the same kind, oldest first."""
    for entry in entries:
        if entry.status == MEASURED:
            archive.revise(entry.program_id, entry.fitness)
            continue
        archive.add(entry.program_id, entry.fitness, entry.measures, entry.metrics)
