"""What all archives share: elites in order, the best of them, and counts of clipped values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.base import Clipped, Elite, order
from evolve.core.measures import Measure


class RankedArchive(ABC):
    """Elites, fittest first; how they come in and what a cell is, a subclass says.

    The order of elites depends on what is in the archive, never on how it came in. Memory grows
    with the elites, not with the cells.

    Args:
        measures: The axes; at least one.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.

    Raises:
        ValueError: no measures, or two of one name.
    """

    def __init__(self, measures: Sequence[Measure], *, offset: float = 0.0) -> None:
        names = [measure.name for measure in measures]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an archive needs measures of distinct names, got {names}")
        self.measures = tuple(measures)
        self.offset = offset
        self._ranked: list[Elite] = []
        self._positions: NDArray[np.float64] | None = None
        self._clipped = dict.fromkeys(names, Clipped(0, 0))

    @abstractmethod
    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return where cells are; see `evolve.archive.base.Archive.centers`."""

    def elites(self) -> list[Elite]:
        """Return all elites, fittest first, ties by key."""
        return self._ranked.copy()

    @property
    def best(self) -> Elite | None:
        """The fittest elite, the smallest key among equals; None while the archive is empty."""
        return self._ranked[0] if self._ranked else None

    def revise(self, key: int, fitness: float) -> None:
        """Give an elite another fitness; see `evolve.archive.base.Archive.revise`."""
        if not math.isfinite(fitness):
            raise ValueError(f"fitness is {fitness}, must be finite")
        for elite in [each for each in self._ranked if each.key == key]:
            revised = replace(elite, fitness=fitness)
            self._swap(elite, revised)
            self._exchange(revised, [elite], ())

    @abstractmethod
    def _swap(self, elite: Elite, revised: Elite) -> None:
        """Put ``revised`` into the cell of ``elite`` in its place."""

    @property
    def clipped(self) -> Mapping[str, Clipped]:
        """How many additions lay outside the bounds, by measure; offers not added are left out.

        So a rebuilt archive, which sees only what had been added, has the same counts.
        """
        return MappingProxyType(self._clipped)

    def __len__(self) -> int:
        return len(self._ranked)

    def __iter__(self) -> Iterator[Elite]:
        return iter(self.elites())

    def positions(self) -> NDArray[np.float64]:
        """Return the `centers` of the cells of `elites`, in their order.

        The array is read-only, and the same one until an elite changes.
        """
        if self._positions is None:
            self._positions = self.centers([elite.cell for elite in self._ranked])
            self._positions.flags.writeable = False
        return self._positions

    def _exchange(self, entering: Elite, leaving: Sequence[Elite], sides: Sequence[int]) -> None:
        """Put one elite in and take others out, and count the sides it was clipped at."""
        for elite in leaving:
            del self._ranked[bisect_left(self._ranked, order(elite), key=order)]
        insort(self._ranked, entering, key=order)
        self._positions = None
        for measure, side in zip(self.measures, sides, strict=False):
            if side:
                below, above = self._clipped[measure.name]
                self._clipped[measure.name] = Clipped(below + (side < 0), above + (side > 0))

    def _outside(self, sides: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the measures that lie outside their bounds."""
        if not sides:
            return ()
        return tuple(axis.name for axis, side in zip(self.measures, sides, strict=True) if side)


def measure_value(measures: Mapping[str, float], name: str) -> float:
    """Return the value of one measure.

    Raises:
        ValueError: it is missing.
    """
    value = measures.get(name)
    if value is None:
        raise missing(name, measures)
    return value


def missing(name: str, measures: Mapping[str, float]) -> ValueError:
    """Return the error about a measure that is not among those given."""
    given = ", ".join(measures) or "none"
    return ValueError(f"the measure {name} is missing; given: {given}")


def sides_of(measures: Sequence[Measure], values: Sequence[float]) -> tuple[int, ...]:
    """Return for each axis on which side of its bounds a value lies; nothing when all lie within.

    See `evolve.archive.cells.Located`.
    """
    sides = tuple(
        (value > axis.high) - (value < axis.low)
        for axis, value in zip(measures, values, strict=True)
    )
    return sides if any(sides) else ()
