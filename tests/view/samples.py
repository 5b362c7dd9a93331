"""Archives and courses for pictures: a usual one of each, and those that are hard to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evolve.archive.base import Archive
from evolve.archive.cvt import spread_centroids
from evolve.archive.spec import ArchiveSpec
from evolve.core.estimates import Estimate
from evolve.core.measures import Measure, Objective
from evolve.propose.credit import Tally
from evolve.store.records import HeldOutPoint
from evolve.view.arms import Arm
from evolve.view.course import Course, IslandCourse, Moment
from evolve.view.curves import Lines, growth_figure, score_figure
from evolve.view.gap import gap_figure
from evolve.view.parallel import parallel_figure
from evolve.view.plots import heatmap_figure
from evolve.view.rates import durations_figure, failures_figure, operators_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAIN, LOSS = Objective("gain"), Objective("loss", "minimize", 10.0, unit="%")
SPREAD, SIZE = Measure("spread", 0.0, 1.0, 12), Measure("size", 0.0, 600.0, 9, unit="nodes")
TIME = Measure("time", 1.0, 1000.0, 9, "log", unit="s")
ROOT = Measure("depth", 0.0, 100.0, 6, "sqrt")
PARTS = Measure("parts", 0.0, 90.0, 5, "quantile", (3.0, 10.0, 11.0, 40.0))
LONG = "a_measure_with_a_name_that_somebody_made_much_too_long_to_be_read_at_a_glance"
TITLE = "a problem, run 3 (sample)"


def filled(spec: ArchiveSpec, objective: Objective = GAIN, offers: int = 200) -> Archive:
    """Return an archive of programs whose scores make a hill over the map."""
    rng = np.random.default_rng(7)
    archive = spec.build(objective.fitness(objective.offset))
    for key, place in enumerate(rng.beta(2.0, 3.0, (offers, len(spec.measures))).tolist()):
        hill = 5 - 8 * sum((x - 0.45) ** 2 for x in place) + rng.normal(0, 0.3)
        value = hill if objective.direction == "maximize" else 6 - hill
        places = zip(spec.measures, place, strict=True)
        measures = {m.name: m.low + (m.high - m.low) * (1.2 * x - 0.05) for m, x in places}
        archive.add(key, objective.fitness(value), measures)
    return archive


def valued(*values: float, objective: Objective = GAIN) -> Archive:
    """Return an archive of one axis with a cell for each value."""
    archive = ArchiveSpec((Measure("x", 0.0, float(len(values)), len(values)),)).build()
    for key, value in enumerate(values):
        archive.add(key, objective.fitness(value), {"x": key + 0.5})
    return archive


def searched(
    entries: int = 600, *, minimize: bool = True, usd: float = 0.004, kinds: int = 3
) -> Course:
    """Return the course of a search that gets better in steps, with failures now and then."""
    rng = np.random.default_rng(3)
    names = ["duplicate", "exception", "wall_time", *(f"reason_{n}" for n in range(20))][:kinds]
    ended = [
        names[int(rng.integers(len(names)))] if rng.random() < 0.3 and index else "ok"
        for index in range(entries)
    ]
    evaluated = np.array([kind != "duplicate" for kind in ended])
    floor = 1.0 + 4.0 * np.exp(-np.arange(entries) / 150).round(1)
    objective = np.where(
        [kind == "ok" for kind in ended], floor + rng.lognormal(-1.0, 1.0, entries), np.nan
    )
    return Course(
        evaluations=evaluated.cumsum(dtype=np.int64),
        objective=objective if minimize else 10 - objective,
        ended=tuple(ended),
        island=np.arange(entries, dtype=np.int64) % 4,
        spent_usd=np.cumsum(rng.random(entries) * usd),
        elapsed_s=np.cumsum(rng.random(entries)),
        wall_s=np.where(evaluated, rng.lognormal(-2.0, 0.7, entries), np.nan),
    )


def islands(count: int, *, minimize: bool = True) -> list[IslandCourse]:
    """Return the courses of islands, each a little behind the one before."""
    places = tuple(range(1, 420, 7))
    return [
        IslandCourse(
            number,
            places,
            tuple(value if minimize else 10 - value for value in _falling(places, number)),
        )
        for number in range(count)
    ]


def _falling(places: tuple[int, ...], number: int) -> list[float]:
    pace = 60 + 40 * number % 90
    return [1.2 + 4.0 * round(float(np.exp(-at / pace)), 1) for at in places]


def fitting(count: int = 12, *, minimize: bool = True) -> list[HeldOutPoint]:
    """Return measured bests that improve on both kinds of cases, then on the search cases alone."""
    sign = 1.0 if minimize else -1.0
    return [
        HeldOutPoint(
            n + 1,
            1 + n * n,
            sign * (5 - 4 * (1 - 0.8**n)),
            sign * (5.2 - 4 * (1 - 0.8 ** min(n, 6)) + 0.02 * n),
        )
        for n in range(count)
    ]


def measured(
    points: list[HeldOutPoint], *, held_out: bool, error: float, n: int = 8
) -> dict[int, Estimate]:
    """Return what is known of points whose scores vary, less of the later ones."""
    return {
        each.program_id: Estimate(
            each.held_out if held_out else each.search, error * (1 + place / 8), n
        )
        for place, each in enumerate(points)
    }


def varying(entries: int = 600) -> Course:
    """Return the course of a search whose elites fall now and then when they are measured again."""
    of, rng = searched(entries), np.random.default_rng(5)
    steps = of.best(LOSS) + 0.3
    steps += np.repeat(rng.choice([0.0, 0.25], entries // 30, p=[0.7, 0.3]), 30)
    return replace(of, led=(steps, np.linspace(0.5, 0.15, entries)))


def _gap_of_noise() -> Figure:
    points = fitting()
    search, held_out = (
        measured(points, held_out=which, error=error)
        for which, error in ((False, 0.1), (True, 0.05))
    )
    return gap_figure(points, LOSS, search=search, held_out=held_out, title=TITLE, note="noted")


ARMS = (
    Arm("diff", "openai/some-model", Tally(310, 250, 200, 41, 9, 20.0, 1.25)),
    Arm("genetic", "", Tally(120, 110, 60, 4, 0, 2.0)),
    Arm("rewrite", f"openai/{LONG}", Tally(40, 40, 39, 30, 12, 9.0, 0.5)),
    Arm("crossover", "", Tally(1)),
)
MOMENTS = tuple(Moment(n, n, 1 - float(np.exp(-n / 90)), 20.0 * n**0.5) for n in range(1, 300, 4))
GRID = ArchiveSpec((SPREAD, SIZE))
CVT = ArchiveSpec(
    (SPREAD, TIME), kind="cvt", centroids=tuple(map(tuple, spread_centroids(2, 60, 1).tolist()))
)

#: Pictures whose look is kept in ``baseline``.
BASELINES: Mapping[str, Callable[[], Figure]] = {
    "map": lambda: heatmap_figure(filled(GRID), GAIN, title=TITLE, record=4.5),
    "map_minimize_log_sqrt": lambda: heatmap_figure(
        filled(ArchiveSpec((TIME, ROOT)), LOSS), LOSS, title=TITLE
    ),
    "map_quantile": lambda: heatmap_figure(filled(ArchiveSpec((PARTS, SPREAD))), GAIN, title=TITLE),
    "map_cvt": lambda: heatmap_figure(filled(CVT), GAIN, title=TITLE),
    "map_niches": lambda: heatmap_figure(
        filled(ArchiveSpec((SPREAD, SIZE), kind="novelty", threshold=0.08)), GAIN, title=TITLE
    ),
    "map_one_axis": lambda: heatmap_figure(filled(ArchiveSpec((SPREAD,))), GAIN, title=TITLE),
    "parallel": lambda: parallel_figure(
        filled(ArchiveSpec((SPREAD, TIME, ROOT, PARTS)), LOSS), LOSS, title=TITLE
    ),
    "score": lambda: score_figure(
        searched(), LOSS, islands=islands(4), lines=Lines(0.7, {"greedy": 4.2}), title=TITLE
    ),
    "score_of_noise": lambda: score_figure(varying(), LOSS, islands=islands(2), title=TITLE),
    "score_of_50_islands": lambda: score_figure(
        searched(minimize=False), GAIN, islands=islands(50, minimize=False), title=TITLE
    ),
    "money": lambda: score_figure(searched(), LOSS, over="money", title=TITLE),
    "growth": lambda: growth_figure(MOMENTS, title=TITLE, unit="%"),
    "gap": lambda: gap_figure(fitting(minimize=False), GAIN, title=TITLE),
    "gap_of_noise": _gap_of_noise,
    "operators": lambda: operators_figure(ARMS, title=TITLE),
    "failures": lambda: failures_figure(searched(kinds=9), title=TITLE),
    "durations": lambda: durations_figure(searched(), title=TITLE),
}

_ONE = searched(1)
_FLAT = valued(2.0, 2.0, 2.0)
#: Pictures that must be drawn without a warning, whatever they look like.
HARD: Mapping[str, Callable[[], Figure]] = {
    "map_of_nothing": lambda: heatmap_figure(GRID.build(), GAIN, title=TITLE),
    "map_of_one_cell": lambda: heatmap_figure(valued(3.0), GAIN, title=TITLE, record=1e9),
    "map_of_equals": lambda: heatmap_figure(_FLAT, GAIN, title=TITLE),
    "map_of_extremes": lambda: heatmap_figure(
        valued(-1.7e308, 0.0, 1.0, 2.0, 1.7e308), GAIN, title=TITLE
    ),
    "map_of_long_names": lambda: heatmap_figure(
        filled(ArchiveSpec((Measure(LONG, 0.0, 1.0, 4), Measure(f"{LONG}_2", 0.0, 1.0, 4)))),
        Objective(f"objective_{LONG}", unit="percent above it"),
        title=f"{LONG}, run 12 ({LONG})",
    ),
    "map_of_many_cells": lambda: heatmap_figure(
        filled(
            ArchiveSpec((Measure("x", 0.0, 1.0, 200), Measure("y", 0.0, 1.0, 150))), offers=9000
        ),
        GAIN,
        title=TITLE,
    ),
    "parallel_of_one": lambda: parallel_figure(valued(3.0), GAIN, title=TITLE),
    "parallel_of_equals": lambda: parallel_figure(_FLAT, GAIN, title=TITLE),
    "parallel_of_extremes": lambda: parallel_figure(
        valued(-1.7e308, 0.0, 1.7e308), GAIN, title=TITLE
    ),
    "parallel_of_eight": lambda: parallel_figure(
        filled(ArchiveSpec(tuple(Measure(f"{LONG[: n * 9]}_{n}", 0, 1, 3) for n in range(8)))),
        GAIN,
        title=TITLE,
    ),
    "score_of_one": lambda: score_figure(_ONE, LOSS, islands=islands(1), title=TITLE),
    "score_of_noise_of_one": lambda: score_figure(
        replace(_ONE, led=(_ONE.objective, np.array([np.nan]))), LOSS, title=TITLE
    ),
    "money_of_one": lambda: score_figure(_ONE, LOSS, over="money", title=TITLE),
    "score_of_equals": lambda: score_figure(_course(2.0, 2.0, 2.0), LOSS, title=TITLE),
    "score_of_extremes": lambda: score_figure(
        _course(1e300, 1.7e308, -1.7e308, 3.0), LOSS, lines=Lines(-1e308), title=TITLE
    ),
    "score_far_from_known": lambda: score_figure(
        _course(3.0, 2.0, 1.99), LOSS, lines=Lines(-500.0, {LONG: 2.5}), title=TITLE
    ),
    "score_after_failures": lambda: score_figure(
        _course(float("nan"), float("nan"), 3.0, 2.0), LOSS, title=TITLE
    ),
    "growth_of_one": lambda: growth_figure([Moment(1, 1, 1.0, 0.0)], title=TITLE),
    "growth_of_niches": lambda: growth_figure(
        [Moment(n, n, None, -float(n)) for n in range(1, 9)], title=TITLE
    ),
    "gap_of_one": lambda: gap_figure(fitting(1), LOSS, title=TITLE),
    "gap_of_extremes": lambda: gap_figure(
        [HeldOutPoint(n, n, value, -value) for n, value in enumerate((1.7e308, -1e308, 0.0), 1)],
        GAIN,
        title=TITLE,
    ),
    "gap_of_two_samples": lambda: gap_figure(
        fitting(3),
        LOSS,
        search=measured(fitting(3), held_out=False, error=9.0, n=2),
        held_out=measured(fitting(2), held_out=True, error=0.0, n=1),
        title=TITLE,
    ),
    "operators_of_one": lambda: operators_figure([ARMS[3]], title=TITLE),
    "operators_of_many": lambda: operators_figure(
        [Arm(f"operator_{n}", "a/model", Tally(10, 9, 5, 3, 1)) for n in range(24)], title=TITLE
    ),
    "failures_of_one": partial(failures_figure, _ONE, title=TITLE),
    "failures_of_many_kinds": lambda: failures_figure(searched(5000, kinds=23), title=TITLE),
    "durations_of_one": partial(durations_figure, _ONE, title=TITLE),
}


def _course(*objective: float) -> Course:
    count = len(objective)
    return Course(
        evaluations=np.arange(1, count + 1),
        objective=np.array(objective),
        ended=tuple("ok" if value == value else "exception" for value in objective),
        island=np.zeros(count, dtype=np.int64),
        spent_usd=np.zeros(count),
        elapsed_s=np.arange(count, dtype=float),
        wall_s=np.full(count, 0.5),
    )
