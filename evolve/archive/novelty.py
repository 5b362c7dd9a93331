"""An archive without a grid: whatever differs enough from the elites it has opens a niche."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.base import NO_METRICS, AddResult, AddStatus, Elite
from evolve.archive.ranked import RankedArchive, measure_value, sides_of
from evolve.archive.stats import ArchiveStats, summarize
from evolve.core.measures import Measure

#: Niches that memory is taken for at first; it doubles when they are full.
ROOM = 64


class NoveltyArchive(RankedArchive):
    """Niches around elites, opened by novelty and held by fitness.

    The novelty of an offer is its mean distance to the nearest elites in the unit cube, infinite in
    an empty archive. At or above the threshold it opens a niche. Below, it competes with the
    nearest elite alone and takes its niche if it is strictly fitter. A niche has a number as a cell
    has an index, counting from 0 in the order they were opened; it moves to where its elite is.

    Novelty after Lehman and Stanley, "Abandoning objectives: evolution through the search for
    novelty alone", 2011; local competition after Cully and Demiris, "Quality and diversity
    optimization: a unifying modular framework", 2018.

    Args:
        measures: The axes; at least one.
        threshold: Distance between 0 (excluded) and the square root of the number of axes.
        neighbors: How many of the nearest elites count; at least 1. With 1, elites stay about
            ``threshold`` apart.
        offset: Fitness that counts zero in the QD score; best the lowest possible one.

    Raises:
        ValueError: no measures, two of one name, or a number out of range.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        *,
        threshold: float,
        neighbors: int = 1,
        offset: float = 0.0,
    ) -> None:
        super().__init__(measures, offset=offset)
        if not 0 < threshold <= math.sqrt(len(self.measures)):
            raise ValueError(
                f"threshold is {threshold}, must be above 0 and at most "
                f"{math.sqrt(len(self.measures)):g}, the diagonal of the unit cube"
            )
        if neighbors < 1:
            raise ValueError(f"neighbors is {neighbors}, must be at least 1")
        self.threshold, self.neighbors = threshold, neighbors
        self._niches: list[Elite] = []
        self._points = np.empty((ROOM, len(self.measures)))

    @property
    def cells(self) -> None:
        """None: there is no end to niches."""
        return

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
        values = tuple(measure_value(measures, axis.name) for axis in self.measures)
        point = [axis.fraction(value) for axis, value in zip(self.measures, values, strict=True)]
        sides = sides_of(self.measures, values)
        clipped = self._outside(sides)
        novelty, nearest = self._novelty(point)
        if nearest is None or novelty >= self.threshold:
            cell, improvement = len(self._niches), fitness
            leaving: tuple[Elite, ...] = ()
            status = AddStatus.NEW
        else:
            cell, improvement, leaving = nearest.cell, fitness - nearest.fitness, (nearest,)
            status = AddStatus.IMPROVE_EXISTING if improvement > 0 else AddStatus.NOT_ADDED
        if status is AddStatus.NOT_ADDED:
            return AddResult(status, cell, improvement, (), clipped)
        self._put(Elite(key, cell, fitness, values), point)
        self._exchange(self._niches[cell], leaving, sides)
        return AddResult(status, cell, improvement, tuple(e.key for e in leaving), clipped)

    def champions(self) -> list[Elite]:
        """Return all elites: there is one in each niche."""
        return self.elites()

    def occupants(self, cell: int) -> tuple[Elite, ...]:
        """Return the elite of a niche; none when there is no such niche."""
        return (self._niches[cell],) if 0 <= cell < len(self._niches) else ()

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return where the elites of niches are."""
        return self._points[: len(self._niches)][np.asarray(cells, dtype=np.intp)]

    def stats(self) -> ArchiveStats:
        """Return QD score, best and mean; an archive without end has no coverage."""
        fitness = (elite.fitness for elite in self._ranked)
        return summarize(fitness, len(self), cells=None, offset=self.offset)

    def _novelty(self, point: Sequence[float]) -> tuple[float, Elite | None]:
        """Return the mean distance to the nearest elites, and the nearest one, the older of two."""
        if not self._niches:
            return math.inf, None
        distances = np.sqrt(np.square(self._points[: len(self._niches)] - point).sum(axis=1))
        nearest = self._niches[int(distances.argmin())]
        count = min(self.neighbors, len(distances))
        return float(np.partition(distances, count - 1)[:count].mean()), nearest

    def _swap(self, elite: Elite, revised: Elite) -> None:
        self._niches[elite.cell] = revised

    def _put(self, elite: Elite, point: Sequence[float]) -> None:
        """Let ``elite`` have its niche, a new one or another's."""
        if elite.cell == len(self._niches):
            self._niches.append(elite)
            if len(self._niches) > len(self._points):
                self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._niches[elite.cell] = elite
        self._points[elite.cell] = point
