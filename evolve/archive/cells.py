"""Archives over a fixed set of cells, each of which keeps the fittest it was offered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.base import NO_METRICS, AddResult, AddStatus, Elite, order
from evolve.archive.ranked import RankedArchive
from evolve.archive.stats import ArchiveStats, summarize
from evolve.core.measures import Measure


class Located(NamedTuple):
    """Where measures fall.

    Attributes:
        cell: Index of the cell.
        values: One value for each axis, as given.
        sides: For each axis -1, 0 or 1: below, within or above its bounds; empty when all are
            within.
    """

    cell: int
    values: tuple[float, ...]
    sides: tuple[int, ...]


class Tessellation(Protocol):
    """A division of the space of measures into cells."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The axes."""
        ...

    @property
    def cells(self) -> int:
        """The number of cells; their indices count from 0."""
        ...

    def locate(self, measures: Mapping[str, float]) -> Located:
        """Return the cell of ``measures``, which may have further names.

        Raises:
            ValueError: a measure is missing, NaN or infinite.
        """
        ...

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return where cells are; see `evolve.archive.base.Archive.centers`."""
        ...


class CellArchive(RankedArchive):
    """Cells that hold the fittest they were offered, one or several.

    While a cell has room everything enters it but a twin: an offer of the same fitness and measures
    as an elite there. In a full cell only a strictly larger fitness replaces its least fit elite,
    so the first of equals stays.

    Args:
        tessellation: The cells.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.
        depth: How many elites a cell holds; at least 1.
    """

    def __init__(self, tessellation: Tessellation, *, offset: float = 0.0, depth: int = 1) -> None:
        if depth < 1:
            raise ValueError(f"depth is {depth}, must be at least 1")
        super().__init__(tessellation.measures, offset=offset)
        self.tessellation = tessellation
        self.cells = tessellation.cells
        self.depth = depth
        self._locate = tessellation.locate
        self._occupants: dict[int, list[Elite]] = {}
        self._champions: list[Elite] | None = None

    def add(
        self,
        key: int,
        fitness: float,
        measures: Mapping[str, float],
        metrics: Mapping[str, float] = NO_METRICS,  # noqa: ARG002 - fronts look at them
    ) -> AddResult:
        """Offer something; see `evolve.archive.base.Archive.add`."""
        if not math.isfinite(fitness):
            raise ValueError(f"fitness is {fitness}, must be finite")
        located = self._locate(measures)
        occupants: Sequence[Elite] = self._occupants.get(located.cell, ())
        full = len(occupants) == self.depth
        if full and fitness <= occupants[-1].fitness:
            return self._refusal(fitness, located, occupants)
        if self.depth > 1 and any(
            elite.fitness == fitness and elite.measures == located.values for elite in occupants
        ):
            return self._refusal(fitness, located, occupants)
        entering = Elite(key, located.cell, fitness, located.values)
        return self._enter(entering, located, occupants, occupants[-1:] if full else ())

    def rival(self, measures: Mapping[str, float]) -> Elite | None:
        """Return whom an offer with these measures would have to beat; None where there is room.

        Raises:
            ValueError: a measure is missing, NaN or infinite.
        """
        occupants: Sequence[Elite] = self._occupants.get(self.cell_of(measures), ())
        return occupants[-1] if len(occupants) == self.depth else None

    def cell_of(self, measures: Mapping[str, float]) -> int:
        """Return the index of the cell that ``measures`` fall into.

        Raises:
            ValueError: a measure is missing, NaN or infinite.
        """
        return self._locate(measures).cell

    def champions(self) -> list[Elite]:
        """Return the fittest elite of every occupied cell, in the order of `elites`."""
        if self._champions is None:
            firsts = (occupants[0] for occupants in self._occupants.values())
            self._champions = sorted(firsts, key=order) if self.depth > 1 else self._ranked
        return self._champions.copy()

    def occupants(self, cell: int) -> tuple[Elite, ...]:
        """Return the elites of one cell, fittest first; none when it is empty."""
        return tuple(self._occupants.get(cell, ()))

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return the centres of cells in the unit cube."""
        return self.tessellation.centers(cells)

    def stats(self) -> ArchiveStats:
        """Return coverage, QD score, best and mean; takes time in proportion to the elites."""
        fitness = (elite.fitness for elite in self.champions())
        return summarize(fitness, len(self), cells=self.cells, offset=self.offset)

    def _swap(self, elite: Elite, revised: Elite) -> None:
        others = [each for each in self._occupants[elite.cell] if each is not elite]
        self._occupants[elite.cell] = sorted([*others, revised], key=order)
        self._champions = None

    def _enter(
        self,
        entering: Elite,
        located: Located,
        occupants: Sequence[Elite],
        leaving: Sequence[Elite],
    ) -> AddResult:
        """Put ``entering`` into its cell in the place of ``leaving``."""
        staying = [elite for elite in occupants if elite not in leaving]
        self._occupants[entering.cell] = sorted([*staying, entering], key=order)
        self._exchange(entering, leaving, located.sides)
        self._champions = None
        return AddResult(
            AddStatus.IMPROVE_EXISTING if occupants else AddStatus.NEW,
            entering.cell,
            entering.fitness - occupants[0].fitness if occupants else entering.fitness,
            tuple(elite.key for elite in leaving),
            self._outside(located.sides),
        )

    def _refusal(self, fitness: float, located: Located, occupants: Sequence[Elite]) -> AddResult:
        return AddResult(
            AddStatus.NOT_ADDED,
            located.cell,
            fitness - occupants[0].fitness,
            (),
            self._outside(located.sides),
        )
