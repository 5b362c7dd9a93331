"""The archive as a picture: PNG, SVG or PDF through matplotlib, which is an extra."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.archive.base import Archive
from evolve.core.errors import ConfigError, PrerequisiteError
from evolve.core.measures import Objective
from evolve.view.heatmap import clipped_note
from evolve.view.projection import Projection, Scale, label, project, scale
from evolve.view.shapes import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
EMPTY_COLOR = "0.92"
NOTE_CHARACTERS = 100


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
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot draw {path.name}; name it {', '.join(FORMATS)}")
    figure = heatmap_figure(archive, objective, axes=axes, title=title, record=record)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def heatmap_figure(
    archive: Archive,
    objective: Objective,
    *,
    axes: tuple[str, str] | None = None,
    title: str = "",
    record: float | None = None,
) -> Figure:
    """Draw an archive on its true bin edges; brighter is better, grey is empty.

    Args:
        archive: What is drawn; it may be empty.
        objective: Turns fitness back into the values shown.
        axes: Names of the horizontal and vertical measure; default: the first two. Each cell shows
            the best over the others.
        title: First line above the picture; the archive's figures follow on a line of their own.
        record: Best value known elsewhere, in the objective's direction; a line on the colour bar
            where it lies within, and named below the title.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
        PrerequisiteError: matplotlib is not installed.
    """
    figure_class = _figure_class()
    projection = project(archive, axes)
    flat = projection.y is None
    figure = figure_class(figsize=(6.4, 2.7 if flat else 4.8), layout="constrained")
    plot = figure.add_subplot()
    plot.set_facecolor(EMPTY_COLOR)
    image, best = draw(plot, archive, projection, objective)
    plot.set_xlabel(label(projection.x), parse_math=False)
    plot.set_ylabel("" if projection.y is None else label(projection.y), parse_math=False)
    if flat:
        plot.set_yticks([])
    plot.set_title(_caption(archive, objective, title, record), fontsize=10, parse_math=False)
    note = textwrap.fill(_note(archive, projection), NOTE_CHARACTERS)
    figure.supxlabel(note, fontsize=8, color="0.35", parse_math=False)
    if len(archive):
        bar = _color_bar(plot, image, scale(projection.elites.values()), objective)
        low, high = bar.ax.get_ylim()
        if record is not None and low <= record <= high:
            bar.ax.axhline(record, color="black", linewidth=1.5)
        assert best is not None
        _mark_best(plot, best)
    return figure


def _figure_class() -> type[Figure]:
    """Import matplotlib's figure, which needs no display and keeps no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PrerequisiteError(
            "pictures need matplotlib: pip install 'evolve-engine[plot]'"
        ) from None
    return Figure


def _caption(archive: Archive, objective: Objective, title: str, record: float | None) -> str:
    stats = archive.stats()
    of = f"{stats.num_elites} niches" if archive.cells is None else _occupied(archive)
    figures = f"{of}, QD score {stats.qd_score:.6g}"
    if stats.best is not None:
        figures += f", best {objective.fitness(stats.best):.6g}"
    if record is not None:
        figures += f", best known {record:.8g}"
    return f"{title}\n{figures}" if title else figures


def _occupied(archive: Archive) -> str:
    elites = f"{len(archive)} elites in " if len(archive) > len(archive.champions()) else ""
    return f"{elites}{len(archive.champions())} of {archive.cells} cells"


def _note(archive: Archive, projection: Projection) -> str:
    hidden = ", ".join(projection.hidden)
    mark = "cell" if projection.shape == "grid" else "point"
    notes = [
        "star: best" if len(archive) else "the archive is empty",
        f"each {mark}: the best over {hidden}" if hidden and mark == "cell" else "",
        clipped_note(archive),
    ]
    return "; ".join(filter(None, notes))


def _color_bar(plot: Axes, image: Collection, span: Scale, objective: Objective) -> Colorbar:
    """Add the colour bar; its pointed end stands for the very bad values beyond the scale."""
    low, high = sorted(objective.fitness(end) for end in (span.low, span.high))
    image.set_clim(low, high)
    maximize = objective.direction == "maximize"
    pointed = "neither" if not span.open_below else "min" if maximize else "max"
    bar = plot.figure.colorbar(image, ax=plot, extend=pointed)
    better = "higher" if maximize else "lower"
    bar.set_label(f"{objective.name}\n({better} is better)", parse_math=False)
    return bar


def _mark_best(plot: Axes, place: tuple[float, float]) -> None:
    plot.plot(
        *place,
        marker="*",
        markersize=13,
        markerfacecolor="white",
        markeredgecolor="black",
        linestyle="none",
        label="best",
        clip_on=False,
    )
