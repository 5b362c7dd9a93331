"""How full and how good an archive is, in one value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ArchiveStats(NamedTuple):
    """Statistics of an archive, as quality diversity defines them.

    Attributes:
        num_elites: Number of elites; more than occupied cells where a cell holds several.
        coverage: Occupied share of all cells, 0 to 1; None when cells have no end.
        qd_score: Sum over the fittest of each occupied cell of ``fitness - offset``. With the
            offset at the lowest possible fitness no elite counts less than an empty cell, and a
            new elite never lowers it.
        norm_qd_score: ``qd_score`` divided by the number of cells, empty ones included; None when
            cells have no end.
        best: Largest fitness ever added; None while the archive is empty. An elite leaves its cell
            to a better one only, so the program that reached it is still there.
        mean: Mean fitness of the fittest of each occupied cell; None while the archive is empty.
    """

    num_elites: int
    coverage: float | None
    qd_score: float
    norm_qd_score: float | None
    best: float | None
    mean: float | None


def summarize(
    fitness: Iterable[float], elites: int, *, cells: int | None, offset: float
) -> ArchiveStats:
    """Return the statistics of an archive.

    Args:
        fitness: That of the fittest of every occupied cell.
        elites: Number of elites.
        cells: Number of cells of the archive, occupied or not; None when they have no end.
        offset: Fitness that counts zero in the QD score.
    """
    values = list(fitness)
    count, qd_score = len(values), sum(value - offset for value in values)
    return ArchiveStats(
        num_elites=elites,
        coverage=None if cells is None else count / cells,
        qd_score=qd_score,
        norm_qd_score=None if cells is None else qd_score / cells,
        best=max(values, default=None),
        mean=sum(values) / count if values else None,
    )
