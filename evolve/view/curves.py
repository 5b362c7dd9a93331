"""Pictures of a run over time: scores, and how full and good its archive is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve.core.measures import Objective
from evolve.view.course import Course, IslandCourse, Moment
from evolve.view.projection import qualified
from evolve.view.style import (
    INK,
    QUIET,
    RECORD,
    STROKES,
    better,
    counted,
    drawable,
    new_figure,
    set_label,
    set_legend,
    set_note,
    set_title,
    shortened,
    style,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What a course can be drawn over.
Over: TypeAlias = Literal["evaluations", "money", "time"]
_LABELS: Mapping[Over, str] = {
    "evaluations": "evaluations",
    "money": "US dollars spent on model calls",
    "time": "running time (s)",
}
#: Above so many points a picture keeps them as pixels, in vector formats too.
MANY_POINTS = 2000
#: Up to so many, they are large.
FEW_POINTS = 100
#: Islands with a line and a name of their own; more are one crowd.
NAMED_ISLANDS = len(STROKES)
#: Below a picture of scores that vary.
VARY = (
    "scores vary: programs are shown by all their samples up to now, the best so far is the best "
    "elite then, shaded its 95 % interval"
)
#: How far from everything else, in lengths of the axis, a known value may lie and still be shown.
FAR = 2.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Values known from elsewhere: the best published one, and those of simple methods by name."""

    record: float | None = None
    baselines: Mapping[str, float] | None = None


def score_figure(
    course: Course,
    objective: Objective,
    *,
    over: Over = "evaluations",
    islands: Sequence[IslandCourse] = (),
    lines: Lines = Lines(),
    title: str = "",
    note: str = "",
) -> Figure:
    """Draw every score above, and the best so far and of each island on an axis of its own below.

    An axis leaves out what is much worse than most; a note counts it. Values known from elsewhere
    are lines, or named in a note when they lie far away.

    Args:
        course: At least one entry has a score.
        objective: Names the axis and says which way is better.
        over: What runs to the right.
        islands: Drawn over evaluations if there are several.
        lines: Values known from elsewhere.
        title: First line above the picture.
        note: A sentence below it.
    """
    with style():
        figure = new_figure(height=5.4)
        upper, lower = figure.subplots(2, sharex=True, height_ratios=[4, 5])
        places = _places(course, over)
        values, best = drawable(course.objective), drawable(course.best(objective))
        low, high, far = _with_lines(limits(values, objective), lines)
        _draw_points(upper, places, values, low, high)
        upper.set_ylim(low, high)
        lower.set_ylim(_with_lines(limits(np.unique(best), objective), lines)[:2])
        if over == "evaluations" and len(islands) > 1:
            _draw_islands(lower, islands)
        for plot in (upper, lower):
            plot.grid(visible=True)
            _draw_steps(plot, places, best, color=INK, linewidth=1.6, label="best so far")
            _draw_lines(plot, lines)
        if course.led is not None:
            _draw_band(lower, places, *map(drawable, course.led))
        run_to(lower, over, float(places[-1]))
        set_label(upper.yaxis, qualified(objective.name, objective.unit))
        set_label(lower.yaxis, f"best so far, {better(objective)}")
        figure.align_ylabels()
        set_title(upper, title, _came_to(course, objective, over))
        set_legend(lower, 4, upper)
        set_note(figure, beyond(values, low, high), *far, note, VARY if course.led else "")
        return figure


def growth_figure(moments: Sequence[Moment], *, title: str = "", unit: str = "") -> Figure:
    """Draw coverage, or the number of niches, and QD score over evaluations.

    Args:
        moments: At least one.
        title: First line above the picture.
        unit: Of the objective, which is that of the QD score.
    """
    with style():
        figure = new_figure()
        upper, lower = figure.subplots(2, sharex=True)
        places = [moment.evaluations for moment in moments]
        last = moments[-1]
        if last.coverage is None:
            drawn, name, end = [float(each.elites) for each in moments], "niches", f"{last.elites}"
        else:
            drawn = [100 * (each.coverage or 0.0) for each in moments]
            name, end = "coverage (%)", f"{last.coverage:.1%}"
        for plot, values, text in (
            (upper, drawn, name),
            (lower, [each.qd_score for each in moments], qualified("QD score", unit)),
        ):
            plot.grid(visible=True)
            _draw_steps(plot, places, values, color=STROKES[0].color, linewidth=1.6)
            set_label(plot.yaxis, text)
        run_to(lower, "evaluations", places[-1])
        upper.set_ylim(bottom=0)
        figure.align_ylabels()
        set_title(upper, title, f"{name.split(' ')[0]} {end}, QD score {last.qd_score:.6g}")
        return figure


def _places(course: Course, over: Over) -> NDArray[np.float64]:
    if over == "money":
        return course.spent_usd
    return course.elapsed_s if over == "time" else course.evaluations.astype(float)


def limits(values: NDArray[np.float64], objective: Objective) -> tuple[float, float]:
    """Return the ends of an axis: the best value, and what most values are better than."""
    sign = 1.0 if objective.direction == "maximize" else -1.0
    fitness = sign * values[np.isfinite(values)]
    # Halves, because the difference of two very large numbers is infinite.
    first, third = (np.quantile(fitness / 2, [0.25, 0.75])).tolist()
    bottom = max(float(fitness.min()), 2 * (first - 1.5 * (third - first)))
    top = float(fitness.max())
    room = 0.06 * (top - bottom) or 0.05 * abs(top) or 1.0
    ends = sorted((sign * (bottom - room), sign * (top + room)))
    return ends[0], ends[1]


def _with_lines(ends: tuple[float, float], lines: Lines) -> tuple[float, float, list[str]]:
    """Widen an axis to known values that are not far away; return the others in words."""
    low, high = ends
    far, span = [], high - low
    for name, value in {"best known": lines.record, **(lines.baselines or {})}.items():
        if value is None or low <= value <= high:
            continue
        if max(low - value, value - high) > FAR * span:
            far.append(f"{name}: {value:.6g}, beyond the axis")
            continue
        low, high = min(low, value - 0.06 * span), max(high, value + 0.06 * span)
    return low, high, far


def _draw_points(
    plot: Axes,
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    low: float,
    high: float,
) -> None:
    shown = (values >= low) & (values <= high)
    count = int(shown.sum())
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgewidth": 0, "color": "0.6"}
    plot.plot(
        places[shown],
        values[shown],
        markersize=4.0 if count <= FEW_POINTS else 2.2 if count <= MANY_POINTS else 1.2,
        alpha=max(0.05, min(1.0, 4 * MANY_POINTS / max(count, 1))),  # a crowd shows its density
        rasterized=count > MANY_POINTS,
        **dot,
    )
    plot.plot([], [], markersize=3.0, label="one program", **dot)


def _draw_islands(plot: Axes, islands: Sequence[IslandCourse]) -> None:
    few = len(islands) <= NAMED_ISLANDS
    for index, island in enumerate(islands):
        stroke = STROKES[index if few else 0]
        label = f"island {island.island}" if few else "" if index else f"{len(islands)} islands"
        plot.step(
            island.evaluations,
            island.best,
            where="post",
            color=stroke.color,
            linestyle=stroke.dashes,
            linewidth=1.2 if few else 0.6,
            alpha=1.0 if few else 0.5,
            label=label,
        )


def _draw_band(
    plot: Axes,
    places: NDArray[np.float64],
    middle: NDArray[np.float64],
    half: NDArray[np.float64],
) -> None:
    """Shade an interval around a curve of steps, on an axis made longer for it by half at most."""
    plot.set_ylim(*with_bars(*plot.get_ylim(), [(middle, half)]))
    plot.fill_between(
        places, middle - half, middle + half, step="post", color=INK, alpha=0.15, linewidth=0
    )


def with_bars(
    low: float, high: float, parts: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> tuple[float, float]:
    """Widen an axis for intervals, by half its length on either side at most.

    Args:
        low: Its lower end.
        high: Its upper end.
        parts: Middles of intervals and half their widths; those off the axis do not count.
    """
    room = high / 2 - low / 2
    ends = [low, high]
    for values, widths in parts:
        within = np.isfinite(widths) & (values >= low) & (values <= high)
        ends += [*(values - widths)[within].tolist(), *(values + widths)[within].tolist()]
    return max(min(ends), low - room), min(max(ends), high + room)


def _draw_lines(plot: Axes, lines: Lines) -> None:
    """Draw the known values that lie on an axis."""
    low, high = plot.get_ylim()
    if lines.record is not None and low <= lines.record <= high:
        plot.axhline(lines.record, label=f"best known {lines.record:.6g}", **RECORD)
    dots = [(0, (1, 2)), (0, (1, 4)), (0, (3, 3))]
    shown = {n: v for n, v in (lines.baselines or {}).items() if low <= v <= high}
    for (name, value), dashes in zip(shown.items(), dots, strict=False):
        label = f"{shortened(name, 20)} {value:.6g}"
        plot.axhline(value, color=QUIET, linewidth=0.9, linestyle=dashes, label=label)


def _draw_steps(
    plot: Axes,
    places: Sequence[float] | NDArray[np.float64],
    values: Sequence[float] | NDArray[np.float64],
    **line: Any,  # noqa: ANN401 - matplotlib's keywords
) -> None:
    """Draw a curve that stays until it changes, with a dot at its end."""
    plot.step(places, values, where="post", **line)
    plot.plot(places[-1], values[-1], "o", markersize=3.5, color=line["color"], clip_on=False)


def run_to(plot: Axes, over: Over, last: float) -> None:
    """Name the horizontal axis and leave a little room at its ends."""
    first = 1.0 if over == "evaluations" else 0.0
    room = 0.015 * (last - first) or 0.5
    plot.set_xlim(first - room, last + room)
    if over == "evaluations":
        whole_ticks(plot.xaxis)
    set_label(plot.xaxis, _LABELS[over])


def _came_to(course: Course, objective: Objective, over: Over) -> str:
    best = f"{course.best(objective)[-1]:.6g}"
    if course.led is not None and np.isfinite(course.led[1][-1]):
        best += f" ± {course.led[1][-1]:.2g}"
    text = f"best {best} after {counted(int(course.evaluations[-1]), 'evaluation')}"
    if over == "money":
        return f"{text} and ${course.spent_usd[-1]:.4g}"
    return f"{text} and {course.elapsed_s[-1]:.3g} s" if over == "time" else text


def beyond(values: NDArray[np.float64], low: float, high: float) -> str:
    """Say how many scores the axis leaves out."""
    outside = values[(values < low) | (values > high)]
    if not len(outside):
        return ""
    worst = outside[np.argmax(np.abs(outside / 2 - (low / 2 + high / 2) / 2))]
    programs = "1 program lies" if len(outside) == 1 else f"{len(outside)} programs lie"
    return f"{programs} beyond the axis, up to {worst:.6g}"
