"""How full and how good an archive is, in one value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ArchiveStats(NamedTuple):
    """Statistics of an archive, as quality diversity defines them.

    Attributes:
        num_elites: Number of occupied cells.
        coverage: Occupied share of all cells, 0 to 1.
        qd_score: Sum over elites of ``fitness - offset``. With the offset at the lowest possible
            fitness no elite counts less than an empty cell, and a new elite never lowers it.
        norm_qd_score: ``qd_score`` divided by the number of cells, empty ones included.
        best: Largest fitness ever added; None while the archive is empty. An elite leaves its cell
            to a better one only, so the program that reached it is still there.
        mean: Mean fitness of the elites; None while the archive is empty.
    """

    num_elites: int
    coverage: float
    qd_score: float
    norm_qd_score: float
    best: float | None
    mean: float | None


def summarize(fitness: Iterable[float], *, cells: int, offset: float) -> ArchiveStats:
    """Return the statistics of elites with these fitness values.

    Args:
        fitness: One finite value for each elite.
        cells: Number of cells of the archive, occupied or not.
        offset: Fitness that counts zero in the QD score.
    """
    values = list(fitness)
    count, qd_score = len(values), sum(value - offset for value in values)
    return ArchiveStats(
        num_elites=count,
        coverage=count / cells,
        qd_score=qd_score,
        norm_qd_score=qd_score / cells,
        best=max(values, default=None),
        mean=sum(values) / count if values else None,
    )
