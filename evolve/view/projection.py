"""An archive seen along one or two of its measures, and the scale its values are shown on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evolve.archive.base import Archive, Elite
from evolve.archive.cvt import Voronoi
from evolve.archive.spec import ArchiveKind
from evolve.config.nearest import did_you_mean
from evolve.core.errors import ConfigError
from evolve.core.measures import Measure


@dataclass(frozen=True, slots=True)
class Projection:
    """The best elite of every cell over the measures shown.

    Attributes:
        x: The horizontal measure.
        y: The vertical measure; None when the archive has only one.
        hidden: Names of the measures that are not shown: each cell holds the best over them.
        shape: What the archive's cells are; only a ``grid`` has those of the picture.
        elites: Cells ``(column, row)`` that hold an elite; row 0 is the lowest value, and the only
            row when there is no ``y``.
    """

    x: Measure
    y: Measure | None
    hidden: tuple[str, ...]
    shape: ArchiveKind
    elites: dict[tuple[int, int], Elite]

    @property
    def columns(self) -> int:
        """Number of cells across."""
        return self.x.cells

    @property
    def rows(self) -> int:
        """Number of cells up."""
        return 1 if self.y is None else self.y.cells


@dataclass(frozen=True, slots=True)
class Scale:
    """The fitness range that colours are spread over.

    Attributes:
        low: Lower end.
        high: Upper end, the best fitness.
        open_below: Whether some values lie below ``low`` and share its colour.
    """

    low: float
    high: float
    open_below: bool

    def fraction(self, fitness: float) -> float:
        """Return where ``fitness`` lies between the ends, 0 to 1; 1 when they are equal."""
        if fitness >= self.high:
            return 1.0
        if fitness <= self.low:
            return 0.0
        # Halves, for the same reason as in `scale`.
        span = max(self.high / 2 - self.low / 2, sys.float_info.min)
        return (fitness / 2 - self.low / 2) / span


def project(archive: Archive, axes: tuple[str, str] | None = None) -> Projection:
    """Look at ``archive`` along two of its measures.

    Args:
        archive: What is shown; it may be empty.
        axes: Names of the horizontal and the vertical measure; default: the first two, or the
            only one.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
    """
    names = [measure.name for measure in archive.measures]
    for axis in axes or ():
        if axis not in names:
            raise ConfigError(f"'{axis}' is no measure of this archive{did_you_mean(axis, names)}")
    if axes is not None and axes[0] == axes[1]:
        raise ConfigError(f"both axes are '{axes[0]}'; name two of: {', '.join(names)}")
    shown = [names.index(axis) for axis in axes] if axes else list(range(len(names)))[:2]
    x, *rest = [archive.measures[index] for index in shown]
    elites: dict[tuple[int, int], Elite] = {}
    for elite in archive.elites():
        column, *row = [archive.measures[i].locate(elite.measures[i]).cell for i in shown]
        elites.setdefault((column, row[0] if row else 0), elite)  # the fittest come first
    return Projection(
        x=x,
        y=rest[0] if rest else None,
        hidden=tuple(name for index, name in enumerate(names) if index not in shown),
        shape=_shape(archive),
        elites=elites,
    )


def _shape(archive: Archive) -> ArchiveKind:
    if archive.cells is None:
        return "novelty"
    tessellation = getattr(archive, "tessellation", None)
    return "cvt" if isinstance(tessellation, Voronoi) else "grid"


def label(measure: Measure) -> str:
    """Return the name of an axis, with its unit and with its scale when that is not the usual."""
    cut = "" if measure.settled else "not cut yet"
    return qualified(measure.name, measure.unit, measure.scale.replace("linear", ""), cut)


def some(edges: Sequence[float], count: int) -> list[float]:
    """Return at most so many of the edges, the first and the last among them."""
    places = np.linspace(0, len(edges) - 1, min(count, len(edges))).round().astype(int)
    return [edges[place] for place in places.tolist()]


def qualified(name: str, *qualities: str) -> str:
    """Return a name with what there is to add to it in parentheses."""
    given = ", ".join(filter(None, qualities))
    return f"{name} ({given})" if given else name


def scale(elites: Iterable[Elite]) -> Scale:
    """Return the scale for ``elites``; from 0 to 0 when there are none.

    A few very bad programs would leave one colour for all the others, so values under the lower
    Tukey fence (1.5 interquartile ranges below the first quartile) share the lowest colour.
    """
    values = [elite.fitness for elite in elites] or [0.0]
    # Halves, because the difference of two very large numbers is infinite.
    first, third = np.quantile([value / 2 for value in values], [0.25, 0.75]).tolist()
    fence = 2 * (first - 1.5 * (third - first))
    low = min(values)
    return Scale(max(low, fence), max(values), open_below=low < fence)
