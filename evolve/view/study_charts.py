"""The pictures of a study: courses, final values, performance profiles, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evolve.stats.courses import FARTHEST
from evolve.stats.study import Report, TaskReport, Trial
from evolve.view.style import (
    FAINT,
    INK,
    QUIET,
    STROKES,
    Stroke,
    better,
    new_figure,
    set_label,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.view.study import Study

#: Points at which courses are looked at.
POINTS = 200


def figures(study: Study) -> dict[str, Figure]:
    """Return the pictures of a study by what they show; draw inside `evolve.view.style.style`."""
    report = study.report
    found: dict[str, Figure] = {}
    for task in report.tasks:
        trials = {
            arm: [
                t
                for t in study.trials
                if (t.task, t.arm) == (task.task, arm) and t.seed in task.seeds
            ]
            for arm in report.arms
        }
        name = f"Best so far on {task.task}: median and quartiles"
        found[name] = _courses(task, trials, report.rules.budget, study.budget.unit)
        found[f"Final values on {task.task}: one point for each seed"] = _finals(
            task, trials, report
        )
    found["Performance profile: share of seeds and tasks whose target was reached"] = _profile(
        report
    )
    if report.ranks is not None:
        found["Mean ranks; a bar joins what is not shown to differ"] = _ranks(report)
    return found


def _courses(
    task: TaskReport, trials: Mapping[str, Sequence[Trial]], budget: float, unit: str
) -> Figure:
    figure = new_figure()
    plot = figure.add_subplot()
    at = np.linspace(budget / POINTS, budget, POINTS)
    lows, highs = [], []
    for (arm, mine), stroke in zip(trials.items(), _strokes(len(trials)), strict=True):
        values = np.array([[trial.course.value(x) for x in at] for trial in mine])
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        plot.plot(at, median, color=stroke.color, linestyle=stroke.dashes, label=arm)
        plot.fill_between(at, q1, q3, color=stroke.color, alpha=0.15, linewidth=0)
        lows.append(q1[POINTS // 20 :].min())
        highs.append(q3[POINTS // 20 :].max())
    margin = 0.05 * (max(highs) - min(lows)) or 1.0
    plot.set_ylim(min(lows) - margin, max(highs) + margin)
    plot.axhline(task.target, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="target")
    set_label(plot.xaxis, unit)
    set_label(plot.yaxis, f"{task.objective.name} ({better(task.objective)})")
    plot.legend()
    return figure


def _finals(task: TaskReport, trials: Mapping[str, Sequence[Trial]], report: Report) -> Figure:
    figure = new_figure(height=0.8 + 0.45 * len(trials))
    plot = figure.add_subplot()
    names = [each.arm for each in task.arms][::-1]
    for row, arm in enumerate(names):
        values = [_final(trial, report) for trial in trials[arm]]
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
        stroke = STROKES[report.arms.index(arm) % len(STROKES)]
        plot.plot([q1, q3], [row, row], color=FAINT, linewidth=9, solid_capstyle="butt")
        plot.plot(values, [row] * len(values), stroke.marker, color=stroke.color, alpha=0.6)
        plot.plot([median, median], [row - 0.3, row + 0.3], color=INK, linewidth=1.5)
    plot.set_yticks(range(len(names)), names, parse_math=False)
    plot.set_ylim(-0.6, len(names) - 0.4)
    set_label(plot.xaxis, f"{task.objective.name} ({better(task.objective)})")
    return figure


def _final(trial: Trial, report: Report) -> float:
    if report.rules.by == "search" or trial.held_out is None:
        return trial.course.value(report.rules.budget)
    return trial.held_out


def _profile(report: Report) -> Figure:
    figure = new_figure()
    plot = figure.add_subplot()
    for (arm, ratios), stroke in zip(
        report.ratios.items(), _strokes(len(report.arms)), strict=True
    ):
        finite = [ratio for ratio in ratios if math.isfinite(ratio) and ratio <= FARTHEST]
        steps = [1.0, *finite, FARTHEST]
        shares = [sum(r <= step for r in ratios) / len(ratios) for step in steps]
        plot.step(
            steps, shares, where="post", color=stroke.color, linestyle=stroke.dashes, label=arm
        )
    plot.set_xlim(1, FARTHEST)
    plot.set_ylim(0, 1.02)
    set_label(plot.xaxis, "cost to the target, as a multiple of the cheapest way's")
    set_label(plot.yaxis, "share reached")
    plot.legend()
    return figure


def _ranks(report: Report) -> Figure:
    """Draw mean ranks on a line, and bars over ranks closer than the critical difference."""
    assert report.ranks is not None
    order = sorted(zip(report.ranks.ranks, report.arms, strict=True))
    figure = new_figure(height=1.2 + 0.3 * len(order))
    plot = figure.add_subplot()
    for row, (rank, arm) in enumerate(order):
        plot.plot([rank, rank], [0, -row - 1], color=QUIET, linewidth=0.8)
        plot.plot([rank], [0], "o", color=INK)
        plot.annotate(f" {arm}  {rank:.2f}", (rank, -row - 1), fontsize=8, parse_math=False)
    for level, (low, high) in enumerate(
        _cliques([rank for rank, _ in order], report.ranks.critical)
    ):
        height = 0.5 + 0.4 * level
        plot.plot([low - 0.03, high + 0.03], [height, height], color=INK, linewidth=3)
    plot.set_xlim(0.8, len(order) + 0.9)
    plot.set_yticks([])
    plot.spines["left"].set_visible(False)
    set_label(plot.xaxis, "mean rank (lower is better)")
    set_title(plot, "", f"critical difference {report.ranks.critical:.2f}")
    return figure


def _cliques(ranks: Sequence[float], critical: float) -> list[tuple[float, float]]:
    """Return the ends of every longest group of sorted ranks that are not shown to differ."""
    found: list[tuple[float, float]] = []
    for low in ranks:
        high = max(rank for rank in ranks if low <= rank < low + critical)
        if high > low and (not found or high > found[-1][1]):
            found.append((low, high))
    return found


def _strokes(count: int) -> list[Stroke]:
    return [STROKES[number % len(STROKES)] for number in range(count)]
