"""The course of a run as numbers: what came of every proposal, and how its archive grew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Archive, fold
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.engine.seen import RETIRED
from evolve.store.leads import worth
from evolve.store.reader import Reader
from evolve.store.records import Ended, RunRecord
from evolve.view.report import empty_archive, history

#: Moments that the growth of an archive is looked at.
MOMENTS = 300
#: The end of a proposal that was for an instruction, not for a program.
INSTRUCTION = "instruction"
#: Ends that are no failures.
FINE = frozenset({Outcome.OK.value, INSTRUCTION})


@dataclass(frozen=True, slots=True)
class Course:
    """What came of proposals, and of programs that nobody proposed, in the order it was known.

    All have one entry for each.

    Attributes:
        evaluations: How many evaluations there were with it.
        objective: NaN without a score.
        ended: The outcome of its evaluation, ``duplicate``, or the reason of its rejection;
            `INSTRUCTION` when it wrote one for prompts.
        island: What it was proposed for.
        spent_usd: Known price of model calls for it and for all before.
        elapsed_s: Running seconds of the run, of the evaluation before where it has none.
        wall_s: Seconds of its evaluation in the sandbox; NaN without one.
        led: Where scores vary, the objective of the best elite then, by all its samples up to now,
            and half the width of its 95 % interval; both NaN before the first.
    """

    evaluations: NDArray[np.int64]
    objective: NDArray[np.float64]
    ended: tuple[str, ...]
    island: NDArray[np.int64]
    spent_usd: NDArray[np.float64]
    elapsed_s: NDArray[np.float64]
    wall_s: NDArray[np.float64]
    led: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        return len(self.ended)

    def best(self, objective: Objective) -> NDArray[np.float64]:
        """Return the best objective so far at each entry; NaN before the first score.

        Where scores vary it is that of the best elite then, which may fall: the best of many first
        scores is a lucky one.
        """
        if self.led is not None:
            return self.led[0]
        fitness = self.objective if objective.direction == "maximize" else -self.objective
        best = np.fmax.accumulate(fitness) if len(fitness) else fitness
        return best if objective.direction == "maximize" else -best


def _end(each: Ended) -> str:
    return each.ended if each.wrote is None else INSTRUCTION


_NO_TIMES = (float("nan"), float("nan"))


def course(reader: Reader, run: RunRecord) -> Course:
    """Read the course of a run; objectives that vary are the means of all samples up to now."""
    known = reader.estimates(run.id) if run.noisy else {}
    times = reader.evaluation_times(run.id)
    rows = [
        (each.objective, _end(each), each.island, each.cost_usd, each.program_id)
        for each in reader.ended(run.id, run.problem_hash)
    ]
    objective, ended, island, cost, programs = zip(*rows, strict=True) if rows else [()] * 5
    means = [
        known[program].mean if program in known else objective
        for objective, program in zip(objective, programs, strict=True)
    ]
    evaluated = np.array([program is not None for program in programs], dtype=bool)
    took = np.array([times.get(program, _NO_TIMES) for program in programs], dtype=float)
    elapsed, wall = took.reshape(-1, 2).T
    evaluations = evaluated.cumsum(dtype=np.int64)
    return Course(
        evaluations=evaluations,
        objective=np.array(means, dtype=float),
        ended=tuple(ended),
        island=np.array(island, dtype=np.int64),
        spent_usd=np.cumsum(np.array(cost, dtype=float)),
        elapsed_s=np.fmax.accumulate(np.concatenate([[0.0], elapsed]))[1:],
        wall_s=wall,
        led=_led(reader, run, known, evaluations) if run.noisy else None,
    )


def _led(
    reader: Reader, run: RunRecord, known: Mapping[int, Estimate], evaluations: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is known of the best elite after so many evaluations; see `Course.led`."""
    led = [lead for lead in reader.leads(run.id) if lead.island is None]
    found = [worth(lead, known, run.objective) for lead in led]
    values = [(None, None), *((each.mean, each.half_width()) for each in found)]
    place = np.searchsorted([lead.at for lead in led], evaluations, side="right")
    mean, half = np.array(values, dtype=float)[place].T
    return mean, half


@dataclass(frozen=True, slots=True)
class Moment:
    """An archive after so many evaluations; see `evolve.archive.stats.ArchiveStats`."""

    evaluations: int
    elites: int
    coverage: float | None
    qd_score: float


def growth(
    reader: Reader, run: RunRecord, evaluations: int, ref: str | None = None
) -> list[Moment]:
    """Return how an archive of a run grew over so many evaluations; see `history`."""
    found = []
    for after, archive in history(reader, run, _moments(evaluations), ref=ref):
        stats = archive.stats()
        found.append(Moment(int(after), stats.num_elites, stats.coverage, stats.qd_score))
    return found


@dataclass(frozen=True, slots=True)
class IslandCourse:
    """The best objective that an island held after so many evaluations, while there was one.

    Where scores vary it is that of its best elite then, by all its samples up to now.
    """

    island: int
    evaluations: tuple[int, ...]
    best: tuple[float, ...]


def island_courses(reader: Reader, run: RunRecord, evaluations: int) -> list[IslandCourse]:
    """Return the course of every island, by number; migrants count where they came to."""
    record = reader.archive(run.id)
    coming = sorted(reader.changes(run.id, record.number), key=lambda each: each[0])[::-1]
    known = reader.estimates(run.id) if run.noisy else {}
    live: dict[int, Archive] = {}
    held: dict[int, list[tuple[int, float]]] = {}
    for moment in _moments(evaluations):
        while coming and coming[-1][0] <= moment:
            event = coming.pop()[1]
            if event.status == RETIRED:
                live.pop(event.island, None)
            else:
                fold(live.setdefault(event.island, empty_archive(run, record.spec)), [event])
        for island, archive in live.items():
            if archive.best is not None:
                best = run.objective.fitness(archive.best.fitness)
                if archive.best.key in known:
                    best = known[archive.best.key].mean
                held.setdefault(island, []).append((moment, best))
    return [
        IslandCourse(island, tuple(at for at, _ in points), tuple(best for _, best in points))
        for island, points in sorted(held.items())
    ]


def shares(course: Course, windows: int) -> Iterator[tuple[slice, dict[str, float]]]:
    """Yield windows of about equal length over a course, with the share of each kind of end."""
    edges = np.linspace(0, len(course), min(windows, len(course)) + 1).round().astype(int).tolist()
    for start, stop in pairwise(edges):
        part: Sequence[str] = course.ended[start:stop]
        yield slice(start, stop), {kind: n / len(part) for kind, n in Counter(part).items()}


def _moments(evaluations: int) -> list[int]:
    places = np.linspace(1, max(1, evaluations), MOMENTS)
    return sorted({round(place) for place in places.tolist()})
