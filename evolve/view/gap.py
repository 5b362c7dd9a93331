"""A picture of how programs do on the cases that chose them, and on cases that did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evolve.core.estimates import Estimate
from evolve.core.measures import Objective
from evolve.engine.aside import gap
from evolve.store.records import HeldOutPoint
from evolve.view.curves import beyond, limits, run_to, with_bars
from evolve.view.projection import qualified
from evolve.view.style import (
    QUIET,
    STROKES,
    Stroke,
    better,
    drawable,
    new_figure,
    set_label,
    set_legend,
    set_note,
    set_title,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Programs on held-out cases that make a course; at its end every run has one or two.
MEASURED = 3


def gap_figure(
    points: Sequence[HeldOutPoint],
    objective: Objective,
    *,
    search: Mapping[int, Estimate] | None = None,
    held_out: Mapping[int, Estimate] | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Draw both scores of measured programs above, and the gap between them below.

    Where scores vary, bars are 95 % intervals of the means; that of a gap has the root of the sum
    of both squares as half its width (Zou and Donner, "Construction of confidence limits about
    effect measures", 2008). An axis leaves out programs that are much worse than most; a note
    counts them.

    Args:
        points: At least one, in the order of the search.
        objective: Names the axis and says which way is better.
        search: What is known of scores that vary, by program.
        held_out: The same of held-out scores.
        title: First line above the picture.
        note: A sentence below it.
    """
    with style():
        figure = new_figure(height=5.4)
        upper, lower = figure.subplots(2, sharex=True, height_ratios=[5, 4])
        places = np.array([float(each.evaluations) for each in points])
        seen = drawable([each.search for each in points])
        hidden = drawable([each.held_out for each in points])
        gaps = np.array([gap(each, objective) for each in points])
        seen_width, hidden_width = _widths(points, search), _widths(points, held_out)
        low, high = limits(np.concatenate([seen, hidden]), objective)
        inside = (np.minimum(seen, hidden) >= low) & (np.maximum(seen, hidden) <= high)
        both = [(seen, seen_width, STROKES[0], "search cases")]
        both += [(hidden, hidden_width, STROKES[1], "held-out cases")]
        for values, widths, stroke, label in both:
            _draw(upper, places, values, widths, stroke, label)
        _draw(lower, places, drawable(gaps), np.hypot(seen_width, hidden_width), STROKES[2], "gap")
        lower.axhline(0.0, color=QUIET, linewidth=0.9)
        upper.set_ylim(*with_bars(low, high, [part[:2] for part in both]))
        shown = drawable(gaps[inside]) if inside.any() else drawable(gaps)
        lower.set_ylim(*_around(shown, np.hypot(seen_width, hidden_width)[inside]))
        for plot in (upper, lower):
            plot.grid(visible=True)
        run_to(lower, "evaluations", float(places[-1]))
        set_label(upper.yaxis, f"{qualified(objective.name, objective.unit)}, {better(objective)}")
        set_label(lower.yaxis, "gap: search better by")
        figure.align_ylabels()
        set_title(upper, title, _came_to(points[-1], objective))
        set_legend(lower, 3, upper)
        outside = np.where((seen < low) | (seen > high), seen, hidden)
        set_note(figure, _bars(points, search, held_out), beyond(outside, low, high), note)
        return figure


def _widths(
    points: Sequence[HeldOutPoint], known: Mapping[int, Estimate] | None
) -> NDArray[np.float64]:
    """Return half the interval of each point's score; NaN where there is none."""
    found = [(known or {}).get(each.program_id) for each in points]
    return np.array([None if each is None else each.half_width() for each in found], dtype=float)


def _bars(points: Sequence[HeldOutPoint], *known: Mapping[int, Estimate] | None) -> str:
    """Say what the bars are, if there are any, and of how many samples."""
    ids = {each.program_id for each in points}
    found = [each.n for of in known for program, each in (of or {}).items() if program in ids]
    sampled = sorted(n for n in found if n > 1)
    if not sampled:
        return ""
    few, many = sampled[0], sampled[-1]
    return f"bars are 95 % intervals, n={few}" + (f" to {many}" if many > few else "")


def _draw(
    plot: Axes,
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    widths: NDArray[np.float64],
    stroke: Stroke,
    label: str,
) -> None:
    line: dict[str, Any] = {"color": stroke.color, "linewidth": 1.3}
    plot.step(
        places,
        values,
        where="post",
        linestyle=stroke.dashes,
        marker=stroke.marker,
        markersize=3.5,
        label=label,
        **line,
    )
    barred = np.isfinite(widths)
    if barred.any():
        plot.errorbar(
            places[barred],
            values[barred],
            widths[barred],
            fmt="none",
            ecolor=stroke.color,
            elinewidth=0.9,
            capsize=2.0,
        )


def _around(gaps: NDArray[np.float64], widths: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of an axis that has zero on it, all gaps, and an interval of usual length."""
    low, high = min(0.0, float(gaps.min())), max(0.0, float(gaps.max()))
    finite = widths[np.isfinite(widths)]
    usual = 1.1 * float(np.median(finite)) if len(finite) else 0.0
    room = max(0.08 * (high - low), usual) or 1.0
    return with_bars(low - room, high + room, [(gaps, widths)] if len(widths) else [])


def _came_to(last: HeldOutPoint, objective: Objective) -> str:
    return (
        f"gap {gap(last, objective):.4g} at program {last.program_id}: "
        f"search {last.search:.6g}, held out {last.held_out:.6g}"
    )
