"""The MAP-Elites archive: a grid over declared measures that keeps the best of every cell."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.base import NO_METRICS, AddResult, AddStatus, Elite, order
from evolve.archive.stats import ArchiveStats, summarize
from evolve.core.measures import Measure


class GridArchive:
    """A grid of equal cells over measures; each cell holds the fittest it was offered.

    Only a strictly larger fitness replaces an elite, so the first of equals stays. The order of
    elites (fittest first, ties by key) depends on what is in the archive, never on how it came in.
    Memory grows with the elites, not with the cells. (Mouret and Clune, "Illuminating search
    spaces by mapping elites", 2015.)

    Args:
        measures: The axes, first axis slowest in flat cell indices; at least one.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.

    Raises:
        ValueError: no measures, two of one name, or more cells than an index can count.
    """

    def __init__(self, measures: Sequence[Measure], *, offset: float = 0.0) -> None:
        names = [measure.name for measure in measures]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an archive needs measures of distinct names, got {names}")
        self.measures = tuple(measures)
        self.offset = offset
        self.shape = tuple(measure.cells for measure in measures)
        self.cells = math.prod(self.shape)
        if self.cells > sys.maxsize:
            raise ValueError(f"{self.cells:.1e} cells are too many; use fewer or coarser measures")
        self._by_cell: dict[int, Elite] = {}
        self._ranked: list[Elite] = []
        self._positions: NDArray[np.float64] | None = None
        self._clipped: Counter[str] = Counter(dict.fromkeys(names, 0))

    def add(
        self,
        key: int,
        fitness: float,
        measures: Mapping[str, float],
        metrics: Mapping[str, float] = NO_METRICS,  # noqa: ARG002 - other archives look at them
    ) -> AddResult:
        """Offer something; see `evolve.archive.base.Archive.add`."""
        if not math.isfinite(fitness):
            raise ValueError(f"fitness is {fitness}, must be finite")
        cell, values, clipped = self._locate(measures)
        incumbent = self._by_cell.get(cell)
        improvement = fitness if incumbent is None else fitness - incumbent.fitness
        if incumbent is not None and fitness <= incumbent.fitness:
            return AddResult(AddStatus.NOT_ADDED, cell, improvement, (), clipped)
        self._put(Elite(key, cell, fitness, values), incumbent)
        for name in clipped:
            self._clipped[name] += 1
        if incumbent is None:
            return AddResult(AddStatus.NEW, cell, improvement, (), clipped)
        return AddResult(AddStatus.IMPROVE_EXISTING, cell, improvement, (incumbent.key,), clipped)

    def cell_of(self, measures: Mapping[str, float]) -> int:
        """Return the flat index of the cell that ``measures`` fall into, in C order.

        Raises:
            ValueError: a measure is missing, NaN or infinite.
        """
        return self._locate(measures)[0]

    def elites(self) -> list[Elite]:
        """Return all elites, fittest first, ties by key."""
        return self._ranked.copy()

    def champions(self) -> list[Elite]:
        """Return all elites: there is one in each occupied cell."""
        return self._ranked.copy()

    def occupants(self, cell: int) -> tuple[Elite, ...]:
        """Return the elite of a cell, by flat index; none when the cell is empty."""
        elite = self._by_cell.get(cell)
        return () if elite is None else (elite,)

    @property
    def best(self) -> Elite | None:
        """The fittest elite, the smallest key among equals; None while the archive is empty."""
        return self._ranked[0] if self._ranked else None

    @property
    def clipped(self) -> Mapping[str, int]:
        """How many additions lay outside the bounds, by measure; offers not added are left out.

        So a rebuilt archive, which sees only what had been added, has the same counts.
        """
        return MappingProxyType(self._clipped)

    def __len__(self) -> int:
        return len(self._ranked)

    def __iter__(self) -> Iterator[Elite]:
        return iter(self.elites())

    def stats(self) -> ArchiveStats:
        """Return coverage, QD score, best and mean; takes time in proportion to the elites."""
        fitness = (elite.fitness for elite in self._ranked)
        return summarize(fitness, cells=self.cells, offset=self.offset)

    def grid(self) -> NDArray[np.float64]:
        """Return the fitness of every cell as an array of `shape`, NaN where a cell is empty."""
        flat = np.full(self.cells, np.nan)
        for elite in self._ranked:
            flat[elite.cell] = elite.fitness
        return flat.reshape(self.shape)

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return the centres of cells in the map scaled to a unit cube.

        Args:
            cells: Flat indices, of any shape.

        Returns:
            Positions between 0 and 1; the shape of ``cells`` and then one entry for each axis.
        """
        indices = np.unravel_index(np.asarray(cells, dtype=np.intp), self.shape)
        return (np.stack(indices, axis=-1) + 0.5) / self.shape

    def positions(self) -> NDArray[np.float64]:
        """Return the elites' `centers` in the order of `elites`, shape ``(elites, axes)``.

        The array is read-only, and the same one until an elite changes.
        """
        if self._positions is None:
            self._positions = self.centers([elite.cell for elite in self._ranked])
            self._positions.flags.writeable = False
        return self._positions

    def _locate(
        self, measures: Mapping[str, float]
    ) -> tuple[int, tuple[float, ...], tuple[str, ...]]:
        """Return the cell, the values of the axes, and the axes that had to be clipped."""
        cell = 0
        values: list[float] = []
        clipped: list[str] = []
        for measure in self.measures:
            value = measures.get(measure.name)
            if value is None:
                given = ", ".join(measures) or "none"
                raise ValueError(f"the measure {measure.name} is missing; given: {given}")
            position = measure.locate(value)
            cell = cell * measure.cells + position.cell
            values.append(value)
            if position.clipped:
                clipped.append(measure.name)
        return cell, tuple(values), tuple(clipped)

    def _put(self, elite: Elite, incumbent: Elite | None) -> None:
        """Store ``elite`` in the place of ``incumbent``, keeping the ranking sorted."""
        if incumbent is not None:
            del self._ranked[bisect_left(self._ranked, order(incumbent), key=order)]
        insort(self._ranked, elite, key=order)
        self._by_cell[elite.cell] = elite
        self._positions = None
