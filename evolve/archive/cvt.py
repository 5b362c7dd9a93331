"""Cells of a centroidal Voronoi tessellation, for maps of many measures.

Vassiliades, Chatzilygeroudis and Mouret, "Using centroidal Voronoi tessellations to scale up the
multidimensional archive of phenotypic elites algorithm", 2018.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.cells import Located
from evolve.archive.ranked import measure_value, sides_of
from evolve.core.errors import PrerequisiteError
from evolve.core.measures import Measure

#: Uniform samples that k-means clusters: so many for each cell, fewer of very many cells.
SAMPLES, MOST_SAMPLES, LEAST_SAMPLES = 50, 20_000, 5
ROUNDS = 20


class Voronoi:
    """Cells around centroids: what lies nearest to one, on the axes' scales, is its cell.

    Args:
        measures: The axes.
        centroids: Distinct points of the unit cube, shape ``(cells, axes)``.

    Raises:
        ValueError: the centroids do not fit the measures.
    """

    def __init__(self, measures: Sequence[Measure], centroids: ArrayLike) -> None:
        self.measures = tuple(measures)
        self.centroids = np.array(centroids, dtype=float)
        if self.centroids.ndim != 2 or self.centroids.shape[1] != len(self.measures):
            raise ValueError(
                f"centroids have shape {self.centroids.shape}, must have a row for each cell and "
                f"{len(self.measures)} columns"
            )
        self.centroids.flags.writeable = False
        self.cells = len(self.centroids)

    def locate(self, measures: Mapping[str, float]) -> Located:
        """Return the cell of ``measures``, the first of equally near ones."""
        values = tuple(measure_value(measures, axis.name) for axis in self.measures)
        point = [axis.fraction(value) for axis, value in zip(self.measures, values, strict=True)]
        cell = int(np.square(self.centroids - point).sum(axis=1).argmin())
        return Located(cell, values, sides_of(self.measures, values))

    def centers(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Return the centroids of cells."""
        centers: NDArray[np.float64] = self.centroids[np.asarray(cells, dtype=np.intp)]
        return centers


def spread_centroids(axes: int, cells: int, seed: int) -> NDArray[np.float64]:
    """Return points that are spread evenly over the unit cube: k-means of uniform samples.

    Args:
        axes: Number of measures.
        cells: Number of centroids.
        seed: Origin of the samples; the same one gives the same points.

    Returns:
        Shape ``(cells, axes)``, ordered by the first axis, then the next.

    Raises:
        PrerequisiteError: scipy is not installed.
    """
    try:
        from scipy.cluster.vq import kmeans2
    except ImportError:
        raise PrerequisiteError("CVT cells need scipy: pip install 'evolve-engine[cvt]'") from None
    rng = np.random.default_rng([seed, cells, axes])
    count = max(min(SAMPLES * cells, MOST_SAMPLES), LEAST_SAMPLES * cells)
    samples = rng.random((count, axes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty cluster keeps its centroid, which will do
        points, _ = kmeans2(samples, samples[:cells], iter=ROUNDS, minit="matrix")
    return np.asarray(points[np.lexsort(points.T[::-1])], dtype=float)
