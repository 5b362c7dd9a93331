"""An archive on parallel axes: every elite a line across all measures and the objective.

Inselberg, "The plane with parallel coordinates", 1985.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evolve.archive.base import Archive, Elite
from evolve.core.measures import Measure, Objective
from evolve.view.projection import Scale, label, qualified, scale, some
from evolve.view.style import (
    INK,
    QUIET,
    better,
    counted,
    drawable,
    new_figure,
    set_note,
    set_title,
    style,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Elites that are drawn: the fittest.
MOST = 2000
TICKS = 6
#: Share of an axis that its ends keep free of other ticks.
NEAR = 0.06


def parallel_figure(archive: Archive, objective: Objective, *, title: str = "") -> Figure:
    """Draw every elite as a line through its measures, on their scales, to its objective.

    Args:
        archive: At least one elite.
        objective: The last axis, the better end upwards.
        title: First line above the picture.
    """
    with style():
        from matplotlib import colormaps
        from matplotlib.collections import LineCollection

        elites = archive.elites()[:MOST][::-1]
        span = scale(elites)
        axes = len(archive.measures) + 1
        figure = new_figure(width=max(6.4, 1.5 * axes + 1))
        plot = figure.add_subplot()
        shares = [span.fraction(elite.fitness) for elite in elites]
        lines = [
            np.column_stack([np.arange(axes), [*_heights(archive.measures, elite), share]])
            for elite, share in zip(elites, shares, strict=True)
        ]
        colors = colormaps["viridis"](np.array(shares) * 0.88)
        crowd = 0.9 if len(elites) < 100 else 0.55
        plot.add_collection(LineCollection(lines, colors=colors, linewidths=0.9, alpha=crowd))
        plot.plot(
            lines[-1][:, 0], lines[-1][:, 1], color=INK, linewidth=1.8, marker="*",
            markersize=11, markerfacecolor="white", label="best",
        )  # fmt: skip
        for place, measure in enumerate(archive.measures):
            _draw_axis(plot, place, _ticks(measure), last=False)
        _draw_axis(plot, axes - 1, _objective_ticks(span, objective), last=True)
        names = [label(measure) for measure in archive.measures]
        names.append(f"{qualified(objective.name, objective.unit)}, {better(objective)}")
        _frame(plot, names)
        count = counted(len(archive), "elite")
        set_title(plot, title, count if len(archive) <= MOST else f"the best {MOST} of {count}")
        worst = "the lowest tick of the objective stands for it and all worse"
        set_note(figure, "stars: the best", worst if span.open_below else "")
        return figure


def _heights(measures: tuple[Measure, ...], elite: Elite) -> list[float]:
    return [
        measure.fraction(value) for measure, value in zip(measures, elite.measures, strict=True)
    ]


def _ticks(measure: Measure) -> list[tuple[float, str]]:
    """Return heights and values: edges of cells where the scale is not linear, else round ones."""
    if measure.scale == "linear":
        values = _round_values(measure.low, measure.high)
    else:
        values = some(measure.edges(), TICKS + 1)
    return [(measure.fraction(value), f"{value:.4g}") for value in values]


def _objective_ticks(span: Scale, objective: Objective) -> list[tuple[float, str]]:
    """Return the ends, and round values between them that are not too near."""
    ends = [span.low, span.high] if span.high > span.low else [span.high]
    shown = {span.fraction(fitness): fitness for fitness in ends}
    for fitness in _round_values(span.low, span.high):
        height = span.fraction(fitness)
        if min(abs(height - other) for other in shown) > NEAR:
            shown[height] = fitness
    return [(height, f"{objective.fitness(fitness):.4g}") for height, fitness in shown.items()]


def _round_values(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(TICKS).tick_values(*drawable([low, high]).tolist())
    return [float(value) for value in values if low <= value <= high]


def _draw_axis(plot: Axes, place: int, ticks: list[tuple[float, str]], *, last: bool) -> None:
    """Draw a vertical axis; its values stand to the left of it, those of the last to the right."""
    shift = 0.03 if last else -0.03
    plot.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=3)
    for height, text in ticks:
        plot.plot([place - 0.015, place + 0.015], [height] * 2, color=INK, linewidth=0.8, zorder=3)
        plot.text(
            place + shift,
            height,
            text,
            ha="left" if last else "right",
            va="center",
            fontsize=7.5,
            color=INK,
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )


def _frame(plot: Axes, names: list[str]) -> None:
    """Leave nothing of the usual frame but the names of the axes, below each."""
    plot.set_xlim(-0.35, len(names) - 1 + 0.35)
    plot.set_ylim(-0.03, 1.03)
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.set_yticks([])
    texts = [wrapped(name, 18) for name in names]
    plot.set_xticks(range(len(names)), texts, parse_math=False)
    plot.tick_params(axis="x", length=0, labelcolor=QUIET)
