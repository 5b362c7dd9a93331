"""Many offers to an archive at once: which of them could enter, found without making them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Archive
from evolve.archive.cells import CellArchive
from evolve.archive.grid import Grid


def contenders(
    archive: Archive, fitness: NDArray[np.float64], measures: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return which offers have to be made to an empty archive, in order; the rest is refused.

    In a grid of one elite a cell only what is fitter than all before it in its cell enters, which
    numpy finds out for all at once. For other archives every offer has to be made.

    Args:
        archive: Where they would be made; nothing is added.
        fitness: Of each offer, larger is better, shape ``(offers,)``.
        measures: A value for each axis of the archive, shape ``(offers, axes)``.

    Returns:
        Indices, ascending.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    everything = np.arange(len(fitness), dtype=np.intp)
    if not isinstance(archive, CellArchive) or archive.depth > 1 or not len(fitness):
        return everything
    tessellation = archive.tessellation
    if not isinstance(tessellation, Grid):
        return everything
    if not (np.isfinite(fitness).all() and np.isfinite(measures).all()):
        raise ValueError("a fitness or a measure is NaN or infinite")
    cells = tessellation.cells_of(measures)
    by_cell = np.argsort(cells, kind="stable")
    _, ranks = np.unique(fitness, return_inverse=True)
    # Each cell's ranks lie above those of the cells before it, so one running maximum does for all.
    first = np.diff(cells[by_cell], prepend=-1) != 0
    level = ranks.reshape(-1)[by_cell] + len(fitness) * np.cumsum(first)
    best_before = np.maximum.accumulate(np.concatenate(([-1], level[:-1])))
    return np.sort(by_cell[first | (level > best_before)])
