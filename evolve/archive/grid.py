"""Cells of a grid over measures, and the archive of MAP-Elites over it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.cells import CellArchive, Located
from evolve.archive.ranked import missing, sides_of
from evolve.core.measures import Measure


class Grid:
    """Every combination of the cells of each measure, the first axis slowest in cell indices.

    Args:
        measures: The axes.

    Raises:
        ValueError: more cells than an index can count.
    """

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.measures = tuple(measures)
        self.shape = tuple(measure.cells for measure in measures)
        self.cells = math.prod(self.shape)
        if self.cells > sys.maxsize:
            raise ValueError(f"{self.cells:.1e} cells are too many; use fewer or coarser measures")
        self._axes = tuple(
            (axis.name, axis.cells, axis.cell, axis.low, axis.high) for axis in self.measures
        )

    def locate(self, measures: Mapping[str, float]) -> Located:
        """Return the cell of ``measures``; see `evolve.archive.cells.Tessellation`."""
        cell = 0
        values: list[float] = []
        inside = True
        for name, cells, cell_of, low, high in self._axes:
            value = measures.get(name)
            if value is None:
                raise missing(name, measures)
            cell = cell * cells + cell_of(value)
            values.append(value)
            inside = inside and low <= value <= high
        place = tuple(values)
        return Located(cell, place, () if inside else sides_of(self.measures, place))

    def cells_of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cells that `locate` gives many measures.

        Args:
            values: Finite, one for each axis in a row, shape ``(many, axes)``.

        Returns:
            Indices, shape ``(many,)``.
        """
        found = np.zeros(len(values), dtype=np.int64)
        for axis, column in zip(self.measures, values.T, strict=True):
            found = found * axis.cells + axis.cells_of(column)
        return found

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return the centres of cells, each axis' cells taken as equally wide."""
        indices = np.unravel_index(np.asarray(cells, dtype=np.intp), self.shape)
        return (np.stack(indices, axis=-1) + 0.5) / self.shape


class GridArchive(CellArchive):
    """A `Grid` whose cells keep the fittest they were offered.

    Mouret and Clune, "Illuminating search spaces by mapping elites", 2015.

    Args:
        measures: The axes, the first one slowest in cell indices; at least one.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.
        depth: How many elites a cell holds; at least 1.

    Raises:
        ValueError: no measures, two of one name, or more cells than an index can count.
    """

    def __init__(self, measures: Sequence[Measure], *, offset: float = 0.0, depth: int = 1) -> None:
        super().__init__(Grid(measures), offset=offset, depth=depth)
