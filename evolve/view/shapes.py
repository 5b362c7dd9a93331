"""Archives as shapes of matplotlib: cells of a grid, polygons around centroids, points."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Archive, Elite
from evolve.archive.cells import CellArchive
from evolve.archive.cvt import Voronoi
from evolve.core.errors import PrerequisiteError
from evolve.core.measures import Measure, Objective
from evolve.view.projection import Projection, some
from evolve.view.style import drawable, plain_log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.collections import Collection

#: Ticks on an axis of quantile cells.
TICKS = 8
#: Cells along an axis that are large enough to have a border.
FEW_CELLS = 30


def draw(
    plot: Axes, archive: Archive, projection: Projection, objective: Objective
) -> tuple[Collection, tuple[float, float] | None]:
    """Draw what an archive holds, in colours still to be scaled.

    Returns:
        What was drawn, and where the best elite is; None in an empty archive.
    """
    colors = "viridis" if objective.direction == "maximize" else "viridis_r"
    if projection.shape == "grid":
        drawn, best = _grid(plot, projection, objective, colors)
    elif in_cells(projection):
        drawn, best = _polygons(plot, archive, projection, objective, colors)
    else:
        drawn, best = _points(plot, archive, projection, objective, colors)
    _scale_axis(plot.set_xscale, plot.xaxis, projection.x)
    plot.set_xlim(projection.x.low, projection.x.high)
    if projection.y is not None:
        _scale_axis(plot.set_yscale, plot.yaxis, projection.y)
        plot.set_ylim(projection.y.low, projection.y.high)
    return drawn, best


def in_cells(projection: Projection) -> bool:
    """Say whether cells are drawn, and not the elites as points."""
    plane = projection.y is not None and not projection.hidden
    return projection.shape == "grid" or (projection.shape == "cvt" and plane)


def _grid(
    plot: Axes, projection: Projection, objective: Objective, colors: str
) -> tuple[Collection, tuple[float, float] | None]:
    grid = np.full((projection.rows, projection.columns), np.nan)
    few = max(grid.shape) <= FEW_CELLS
    for (x, y), elite in projection.elites.items():
        grid[y, x] = drawable(objective.fitness(elite.fitness))
    image = plot.pcolormesh(
        projection.x.edges(),
        [0.0, 1.0] if projection.y is None else projection.y.edges(),
        np.ma.masked_invalid(grid),
        cmap=colors,
        # White lines part cells of one colour; small cells would drown in them.
        edgecolors="white" if few else "face",
        linewidth=0.5 if few else 0.2,
    )
    if not projection.elites:
        return image, None
    column, row = next(iter(projection.elites))
    height = 0.5 if projection.y is None else _middle(projection.y, row)
    return image, (_middle(projection.x, column), height)


def _polygons(
    plot: Axes, archive: Archive, projection: Projection, objective: Objective, colors: str
) -> tuple[Collection, tuple[float, float] | None]:
    """Draw every cell of two measures as it is; empty ones have the background's colour."""
    from matplotlib.collections import PolyCollection

    assert isinstance(archive, CellArchive)
    assert isinstance(archive.tessellation, Voronoi)
    assert projection.y is not None
    order = [archive.measures.index(projection.x), archive.measures.index(projection.y)]
    points = archive.tessellation.centroids[:, order]
    shapes = [_in_values(shape, projection.x, projection.y) for shape in _cells_of(points)]
    values = np.full(len(shapes), np.nan)
    for elite in archive.champions():
        values[elite.cell] = drawable(objective.fitness(elite.fitness))
    drawn = PolyCollection(shapes, cmap=colors, edgecolors="0.75", linewidths=0.4)
    drawn.set_array(np.ma.masked_invalid(values))
    plot.add_collection(drawn)
    best = archive.best
    place = None if best is None else _in_values(points[[best.cell]], projection.x, projection.y)
    return drawn, None if place is None else (float(place[0, 0]), float(place[0, 1]))


def _points(
    plot: Axes, archive: Archive, projection: Projection, objective: Objective, colors: str
) -> tuple[Collection, tuple[float, float] | None]:
    """Draw every elite where its measures lie, the best on top."""
    names = [measure.name for measure in archive.measures]
    across = names.index(projection.x.name)
    up = None if projection.y is None else names.index(projection.y.name)

    def place(elite: Elite) -> tuple[float, float]:
        x = np.clip(elite.measures[across], projection.x.low, projection.x.high)
        if up is None or projection.y is None:
            return float(x), 0.5
        y = np.clip(elite.measures[up], projection.y.low, projection.y.high)
        return float(x), float(y)

    elites = archive.elites()[::-1]
    places = np.array([place(elite) for elite in elites]).reshape(-1, 2)
    values = drawable([objective.fitness(elite.fitness) for elite in elites])
    drawn = plot.scatter(
        places[:, 0],
        places[:, 1],
        c=values,
        cmap=colors,
        s=32,
        edgecolors="0.3",
        linewidths=0.4,
        clip_on=False,
    )
    return drawn, place(elites[-1]) if elites else None


def _cells_of(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the Voronoi cells of points in the unit square, cut off at its sides.

    Mirror images of the points in the four sides make every cell finite, and the sides edges.
    """
    try:
        from scipy.spatial import Voronoi as Diagram
    except ImportError:
        raise PrerequisiteError(
            "pictures of CVT cells need scipy: pip install 'evolve-engine[cvt]'"
        ) from None
    x, y = points.T
    mirrored = [(-x, y), (2 - x, y), (x, -y), (x, 2 - y)]
    diagram = Diagram(np.concatenate([points, *(np.stack(image, axis=1) for image in mirrored)]))
    return [
        np.clip(diagram.vertices[diagram.regions[diagram.point_region[index]]], 0.0, 1.0)
        for index in range(len(points))
    ]


def _in_values(points: NDArray[np.float64], x: Measure, y: Measure) -> NDArray[np.float64]:
    """Return points of the unit square in the units of two measures."""
    return np.array([(x.value(across), y.value(up)) for across, up in points.tolist()])


def _middle(measure: Measure, cell: int) -> float:
    """Return the middle of a cell as it is drawn."""
    low, high = measure.edges()[cell : cell + 2]
    if measure.scale == "linear":
        return (low + high) / 2
    return measure.value((measure.fraction(low) + measure.fraction(high)) / 2)


def _scale_axis(set_scale: Callable[..., None], axis: Axis, measure: Measure) -> None:
    """Draw an axis on the measure's scale, so that cells look equal; ticks at edges."""
    if measure.scale == "linear" or not measure.settled:
        return
    if measure.scale == "log":
        set_scale("log")
        plain_log_ticks(axis, measure.low, measure.high)
        return
    edges = measure.edges()
    if measure.scale == "sqrt":
        set_scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0.0)), np.square))
    else:
        steps = np.arange(len(edges), dtype=float)
        set_scale(
            "function",
            functions=(
                lambda v: np.interp(v, edges, steps),
                lambda v: np.interp(v, steps, edges),
            ),
        )
    axis.set_ticks(some(edges, TICKS))
    axis.set_major_formatter("{x:.4g}")
