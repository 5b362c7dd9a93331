"""Pictures of what becomes of proposals: by operator, over time, and how long evaluations take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evolve.propose.credit import Tally
from evolve.view.arms import Arm
from evolve.view.course import FINE, Course, shares
from evolve.view.style import (
    HATCHES,
    INK,
    QUIET,
    STROKES,
    counted,
    new_figure,
    plain_log_ticks,
    set_label,
    set_legend,
    set_note,
    set_title,
    shortened,
    style,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pieces of a course whose shares are drawn beside each other.
WINDOWS = 40
#: Kinds of ends with a colour of their own; the others are one.
KINDS = 5
BINS = 40
#: Operators with their models that are drawn.
ARMS = 16
#: What became of a proposal, with a colour that is darker the better it is.
_STEPS = (
    ("no new program", "0.93"),
    ("no score", "0.78"),
    ("a score", "#9ecae1"),
    ("better than its parent", "#08519c"),
)


def operators_figure(arms: Sequence[Arm], *, title: str = "") -> Figure:
    """Draw for each operator and model what became of its proposals, as shares.

    Args:
        arms: At least one, the most used first.
        title: First line above the picture.
    """
    with style():
        every, arms = len(arms), arms[:ARMS]
        figure = new_figure(height=1.7 + 0.42 * len(arms))
        plot = figure.add_subplot()
        left = np.zeros(len(arms))
        places = np.arange(len(arms))
        for (name, color), counts in zip(
            _STEPS, zip(*(_steps(arm.tally) for arm in arms), strict=True), strict=True
        ):
            widths = np.array(counts) / [max(arm.tally.pulls, 1) for arm in arms] * 100
            plot.barh(
                places, widths, left=left, height=0.62, color=color, edgecolor=INK,
                linewidth=0.5, label=name,
            )  # fmt: skip
            left += widths
        for place, arm in enumerate(arms):
            plot.text(101.5, place, _counts(arm.tally), va="center", fontsize=8, color=QUIET)
        plot.set_yticks(places, [_name(arm) for arm in arms], parse_math=False)
        plot.set_ylim(len(arms) - 0.4, -0.6)
        plot.set_xlim(0, 100)
        plot.tick_params(axis="y", length=0)
        set_label(plot.xaxis, "share of proposals that came to (%)")
        total = counted(sum(arm.tally.pulls for arm in arms), "proposal")
        most = f", the {ARMS} most used of {every}" if every > ARMS else ""
        set_title(plot, title, f"{total} by operator and model{most}")
        set_legend(plot, 4)
        return figure


def failures_figure(course: Course, *, title: str = "") -> Figure:
    """Draw how proposals failed, as shares over the course of a run.

    Args:
        course: At least one entry.
        title: First line above the picture.
    """
    with style():
        figure = new_figure()
        plot = figure.add_subplot()
        plot.grid(visible=True, axis="y")
        windows = list(shares(course, WINDOWS))
        kinds = _common(course)
        floor = np.zeros(len(windows))
        starts = np.array([part.start for part, _ in windows], dtype=float)
        widths = np.array([part.stop - part.start for part, _ in windows], dtype=float)
        for index, kind in enumerate(kinds):
            heights = 100 * np.array([_share(each, kind, kinds) for _, each in windows])
            plot.bar(
                starts, heights, widths, bottom=floor, align="edge",
                color=STROKES[index].color, hatch=HATCHES[index], edgecolor="white", linewidth=0.3,
                label=kind,
            )  # fmt: skip
            floor += heights
        failed = sum(kind not in FINE for kind in course.ended)
        plot.set_xlim(0, len(course))
        plot.set_ylim(0, max(1.0, 1.08 * float(floor.max(initial=0.0))))
        whole_ticks(plot.xaxis)
        set_label(plot.xaxis, "proposals, in the order they ended")
        set_label(plot.yaxis, "share that failed (%)")
        set_title(
            plot,
            title,
            f"{failed} of {len(course)} came to no score ({_percent(failed, len(course))})",
        )
        if kinds:
            set_legend(plot, 3)
        set_note(figure, f"each bar: {counted(round(widths.mean()), 'proposal')}")
        return figure


def durations_figure(course: Course, *, title: str = "") -> Figure:
    """Draw how long evaluations took in the sandbox, those with a score apart from the others.

    Args:
        course: At least one evaluation with a measured time.
        title: First line above the picture.
    """
    with style():
        figure = new_figure(height=3.6)
        plot = figure.add_subplot()
        plot.grid(visible=True, axis="y")
        evaluated = np.isfinite(course.wall_s)
        scored = np.isfinite(course.objective)
        measured = evaluated & (course.wall_s > 0)
        times = course.wall_s[measured]
        low, high = float(times.min()), float(times.max())
        room = max(1.01, (10 * low / high) ** 0.5)  # a decade at least
        edges = np.geomspace(low / room, high * room, BINS + 1)
        parts = [
            ("with a score", measured & scored, STROKES[0].color, ""),
            ("without", measured & ~scored, STROKES[1].color, "////"),
        ]
        parts = [part for part in parts if part[1].any()]
        plot.hist(
            [course.wall_s[which] for _, which, *_ in parts],
            bins=edges.tolist(),
            stacked=True,
            label=[name for name, *_ in parts],
            color=[color for _, _, color, _ in parts],
            hatch=[hatch for *_, hatch in parts],
            edgecolor="white",
            linewidth=0.4,
        )
        plot.set_xscale("log")
        plain_log_ticks(plot.xaxis, edges[0], edges[-1])
        whole_ticks(plot.yaxis)
        middle, late = np.quantile(times, [0.5, 0.95])
        for value, dashes in ((middle, "-"), (late, (0, (4, 2)))):
            plot.axvline(value, color=INK, linewidth=1.0, linestyle=dashes)
        set_label(plot.xaxis, "seconds in the sandbox")
        set_label(plot.yaxis, "evaluations")
        lines = f"lines: median {middle:.3g} s, 95 % within {late:.3g} s"
        set_title(plot, title, f"{counted(int(evaluated.sum()), 'evaluation')}; {lines}")
        set_legend(plot, 2)
        missing = int((evaluated & ~measured).sum())
        set_note(figure, f"{missing} without a measured time are left out" if missing else "")
        return figure


def _steps(tally: Tally) -> tuple[int, int, int, int]:
    """Return how many proposals came so far and no further."""
    valid, improved = min(tally.valid, tally.applied), min(tally.improved, tally.valid)
    return tally.pulls - tally.applied, tally.applied - valid, valid - improved, improved


def _counts(tally: Tally) -> str:
    cost = f", ${tally.cost_usd:.3g}" if tally.cost_usd else ""
    return f"{tally.pulls}, {counted(tally.records, 'record')}{cost}"


def _name(arm: Arm) -> str:
    return "\n".join(shortened(part) for part in (arm.operator, arm.model) if part)


def _common(course: Course) -> list[str]:
    """Return the most frequent kinds of failure, and one name for all others if there are any."""
    counts: dict[str, int] = {}
    for kind in course.ended:
        if kind not in FINE:
            counts[kind] = counts.get(kind, 0) + 1
    ordered = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return ordered if len(ordered) <= KINDS + 1 else [*ordered[:KINDS], _OTHERS]


_OTHERS = "others"


def _share(counts: dict[str, float], kind: str, kinds: Sequence[str]) -> float:
    if kind != _OTHERS:
        return counts.get(kind, 0.0)
    return sum(share for name, share in counts.items() if name not in {*kinds, *FINE})


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"
