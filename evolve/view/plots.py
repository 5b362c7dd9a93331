"""The archive as a picture: PNG, SVG or PDF through matplotlib, which is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evolve.archive.base import Archive
from evolve.core.measures import Objective
from evolve.view.heatmap import clipped_note
from evolve.view.projection import Projection, Scale, label, project, qualified, scale
from evolve.view.shapes import draw, in_cells
from evolve.view.style import (
    EMPTY_COLOR,
    HATCH,
    HATCH_COLOR,
    INK,
    better,
    check_format,
    drawable,
    new_figure,
    save,
    set_label,
    set_note,
    set_title,
    style,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure


def save_heatmap(
    archive: Archive,
    objective: Objective,
    path: Path,
    *,
    axes: tuple[str, str] | None = None,
    title: str = "",
    record: float | None = None,
) -> None:
    """Write `heatmap_figure` to a file, in the format its suffix names.

    Raises:
        ConfigError: the suffix is none of .png, .svg and .pdf, or an axis is wrong.
        PrerequisiteError: matplotlib is not installed.
    """
    check_format(path)
    save(heatmap_figure(archive, objective, axes=axes, title=title, record=record), path)


def heatmap_figure(
    archive: Archive,
    objective: Objective,
    *,
    axes: tuple[str, str] | None = None,
    title: str = "",
    record: float | None = None,
    span: Scale | None = None,
) -> Figure:
    """Draw an archive on its true bin edges; brighter is better, hatched is empty.

    Args:
        archive: What is drawn; it may be empty.
        objective: Turns fitness back into the values shown.
        axes: Names of the horizontal and vertical measure; default: the first two. Each cell shows
            the best over the others.
        title: First line above the picture; the archive's figures follow on a line of their own.
        record: Best value known elsewhere, in the objective's direction; a line on the colour bar
            where it lies within, and named below the title.
        span: What colours are spread over; default: what the archive holds.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
        PrerequisiteError: matplotlib is not installed.
    """
    with style():
        projection = project(archive, axes)
        flat = projection.y is None
        figure = new_figure(height=2.7 if flat else 4.8)
        plot = figure.add_subplot()
        plot.spines[["top", "right"]].set_visible(True)
        if in_cells(projection):
            plot.patch.set(facecolor=EMPTY_COLOR, hatch=HATCH, edgecolor=HATCH_COLOR, linewidth=0)
        image, best = draw(plot, archive, projection, objective)
        set_label(plot.xaxis, label(projection.x))
        set_label(plot.yaxis, "" if projection.y is None else label(projection.y))
        if flat:
            plot.set_yticks([])
        set_title(plot, title, _figures(archive, objective, record))
        set_note(figure, *_notes(archive, projection))
        if len(archive) or span is not None:
            shown = span or scale(projection.elites.values())
            bar = _color_bar(plot, image, shown, objective)
            low, high = bar.ax.get_ylim()
            if record is not None and low <= record <= high:
                bar.ax.axhline(record, color="black", linewidth=1.5)
        if best is not None:
            _mark_best(plot, best)
        return figure


def _figures(archive: Archive, objective: Objective, record: float | None) -> str:
    stats = archive.stats()
    of = f"{stats.num_elites} niches" if archive.cells is None else _occupied(archive)
    figures = f"{of}, QD score {stats.qd_score:.6g}"
    if stats.best is not None:
        figures += f", best {objective.fitness(stats.best):.6g}"
    if record is not None:
        figures += f", best known {record:.6g}"
    return figures


def _occupied(archive: Archive) -> str:
    elites = f"{len(archive)} elites in " if len(archive) > len(archive.champions()) else ""
    return f"{elites}{len(archive.champions())} of {archive.cells} cells"


def _notes(archive: Archive, projection: Projection) -> list[str]:
    hidden = ", ".join(projection.hidden)
    cells = in_cells(projection)
    place = "hatched: empty" if cells else "each point: where the measures of an elite lie"
    return [
        f"star: best; {place}" if len(archive) else "the archive is empty",
        f"each cell: the best over {hidden}" if hidden and cells else "",
        clipped_note(archive),
    ]


def _color_bar(plot: Axes, image: Collection, span: Scale, objective: Objective) -> Colorbar:
    """Add the colour bar; its pointed end stands for the very bad values beyond the scale."""
    ends = [objective.fitness(span.low), objective.fitness(span.high)]
    low, high = sorted(drawable(ends).tolist())
    maximize = objective.direction == "maximize"
    flat = low == high
    if flat:  # everything is the best there is
        room = abs(low) or 1.0
        low, high = (low - room, high) if maximize else (low, high + room)
    image.set_clim(low, high)
    pointed = "neither" if not span.open_below else "min" if maximize else "max"
    bar = plot.figure.colorbar(image, ax=plot, extend=pointed)
    if flat:
        bar.set_ticks([objective.fitness(span.high)])
    name = wrapped(qualified(objective.name, objective.unit), 40)
    bar.set_label(f"{name}\n({better(objective)})", parse_math=False)
    return bar


def _mark_best(plot: Axes, place: tuple[float, float]) -> None:
    plot.plot(
        *place,
        marker="*",
        markersize=13,
        markerfacecolor="white",
        markeredgecolor=INK,
        linestyle="none",
        label="best",
        clip_on=False,
    )
