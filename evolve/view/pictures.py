"""Every picture of a run by name: what it shows, and how it is made from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evolve.archive.base import Archive
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Stage
from evolve.engine.aside import growing_gap
from evolve.store.reader import Reader
from evolve.store.records import HeldOutPoint, RunRecord, Totals
from evolve.view.arms import Arm, arms
from evolve.view.course import Course, IslandCourse, Moment, course, growth, island_courses
from evolve.view.curves import Lines, Over, growth_figure, score_figure
from evolve.view.gap import MEASURED, gap_figure
from evolve.view.parallel import parallel_figure
from evolve.view.plots import heatmap_figure
from evolve.view.rates import durations_figure, failures_figure, operators_figure
from evolve.view.report import archive_of, evaluations
from evolve.view.style import counted, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Material:
    """What pictures of a run are made of, each part read once and only if it is needed.

    Attributes:
        ref: Number or name of the archive that is looked at; None for that of the search.
    """

    reader: Reader
    run: RunRecord
    ref: str | None = None

    @property
    def title(self) -> str:
        """The first line above every picture."""
        return run_title(self.run)

    @cached_property
    def archive(self) -> Archive:
        """The archive as it is now."""
        return archive_of(self.reader, self.run, ref=self.ref)

    @cached_property
    def course(self) -> Course:
        """What came of every proposal."""
        return course(self.reader, self.run)

    @cached_property
    def evaluations(self) -> int:
        """How many there were."""
        return evaluations(self.reader, self.run)

    @cached_property
    def growth(self) -> list[Moment]:
        """How the archive grew."""
        return growth(self.reader, self.run, self.evaluations, self.ref)

    @cached_property
    def islands(self) -> list[IslandCourse]:
        """The course of each island."""
        return island_courses(self.reader, self.run, self.evaluations)

    @cached_property
    def held_out(self) -> tuple[HeldOutPoint, ...]:
        """Programs that were measured on held-out cases."""
        return self.reader.held_out(self.run.id)

    @cached_property
    def arms(self) -> list[Arm]:
        """What each operator with each model has come to."""
        return arms(self.reader, self.run)

    @cached_property
    def totals(self) -> Totals:
        """The counters."""
        return self.reader.totals(self.run.id)

    @cached_property
    def lines(self) -> Lines:
        """The best known value, and what the baselines came to."""
        entries = self.reader.programs(self.run.id, operator="baseline:")
        return Lines(
            None if self.run.record is None else self.run.record.value,
            {
                entry.operator.removeprefix("baseline:"): entry.objective
                for entry in entries
                if entry.objective is not None
            },
        )

    def known(self, stage: Stage) -> dict[int, Estimate]:
        """What all samples say of scores that vary, by program; nothing where they do not."""
        return self.reader.estimates(self.run.id, stage)


class Picture(NamedTuple):
    """A kind of picture: what it shows in a line, and what draws it or says why there is none."""

    shows: str
    draw: Callable[[Material], Figure | str]


def run_title(run: RunRecord, island: int | None = None) -> str:
    """Return the first line above a picture of a run."""
    part = "" if island is None else f", island {island}"
    return f"{shortened(run.problem, 40)}, run {run.id} ({shortened(run.name, 30)}){part}"


def _map(of: Material) -> Figure | str:
    record = of.run.record.value if of.run.record else None
    return heatmap_figure(of.archive, of.run.objective, title=of.title, record=record)


def _parallel(of: Material) -> Figure | str:
    if not len(of.archive):
        return _NO_SCORE
    return parallel_figure(of.archive, of.run.objective, title=of.title)


def _score(of: Material, over: Over = "evaluations", note: str = "") -> Figure | str:
    if not np.isfinite(of.course.objective).any():
        return _NO_SCORE
    return score_figure(
        of.course,
        of.run.objective,
        over=over,
        islands=of.islands if over == "evaluations" else (),
        lines=of.lines,
        title=of.title,
        note=note,
    )


def _time(of: Material) -> Figure | str:
    return _score(of, "time")


def _money(of: Material) -> Figure | str:
    totals = of.totals
    if not sum(totals.completions.values()):
        return "no model was asked"
    if not totals.cost_usd:
        unknown = "what its models cost is not known; give them a `price`"
        return unknown if totals.unpriced_calls else "its models cost nothing"
    missing = f"{totals.unpriced_calls} calls of unknown price are not in it"
    return _score(of, "money", missing if totals.unpriced_calls else "")


def _growth(of: Material) -> Figure | str:
    if not of.evaluations:
        return _NOTHING
    return growth_figure(of.growth, title=of.title, unit=of.run.objective.unit)


def _gap(of: Material) -> Figure | str:
    points = of.held_out
    if len(points) < MEASURED:
        measured = counted(len(points), "program") if points else "no program"
        return (
            f"{measured} measured on held-out cases; `held_out: {{best: true}}` in the "
            "configuration measures every new best one"
        )
    return gap_figure(
        points,
        of.run.objective,
        search=of.known("search"),
        held_out=of.known("held_out"),
        title=of.title,
        note=growing_gap(points, of.run.objective),
    )


def _operators(of: Material) -> Figure | str:
    return operators_figure(of.arms, title=of.title) if of.arms else "no proposal has ended"


def _failures(of: Material) -> Figure | str:
    return failures_figure(of.course, title=of.title) if len(of.course) else _NOTHING


def _durations(of: Material) -> Figure | str:
    if not (of.course.wall_s > 0).any():
        return "no evaluation has a measured time"
    return durations_figure(of.course, title=of.title)


_NO_SCORE = "no program has a score"
_NOTHING = "nothing has been evaluated"

PICTURES: Mapping[str, Picture] = {
    "map": Picture("the archive: the best of every cell, as `evolve heatmap --png`", _map),
    "parallel": Picture("every elite across all measures, for maps of more than two", _parallel),
    "score": Picture("scores, best so far and islands over evaluations", _score),
    "time": Picture("the same over running time", _time),
    "money": Picture("the same over US dollars spent on models", _money),
    "growth": Picture("coverage and QD score over evaluations", _growth),
    "gap": Picture("scores on search and on held-out cases along the run, and their gap", _gap),
    "operators": Picture("what became of proposals, by operator and model", _operators),
    "failures": Picture("how proposals failed, over the course of the run", _failures),
    "durations": Picture("how long evaluations took", _durations),
}
