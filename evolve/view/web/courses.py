"""The curves of a run: the best so far, that of each island, and on held-out cases."""

from __future__ import annotations

from collections.abc import Mapping

from evolve.core.estimates import Estimate
from evolve.store.leads import worth
from evolve.store.records import RunRecord
from evolve.view.gap import MEASURED
from evolve.view.web.charts import Line, Point
from evolve.view.web.folds import Folded
from evolve.view.web.site import Site
from evolve.view.web.text import duration, number, varied

#: Islands that have a curve of their own, the best ones.
CURVES = 8


def known_of(site: Site, run: RunRecord, folded: Folded) -> dict[int, Estimate]:
    """Return what samples say of the elites of a run whose scores vary, and of who was the best."""
    if not run.noisy:
        return {}
    wanted = {elite.key for each in (folded.archive, *folded.islands.values()) for elite in each}
    wanted |= {lead.program for lead in folded.leads if lead.program is not None}
    return site.reader.estimates(run.id, only=wanted)


def score_lines(
    site: Site, run: RunRecord, folded: Folded, known: Mapping[int, Estimate]
) -> list[Line]:
    """Return the best objective over the evaluations, on held-out cases and of each island too.

    Where scores vary the best is the best elite then, by what is ``known`` of it now.
    """
    best, *islands = _led(site, run, folded, known) if run.noisy else _risen(site, run, folded)
    return [best, *_held_out(site, run), *islands]


def _risen(site: Site, run: RunRecord, folded: Folded) -> list[Line]:
    """Return how the best rose, of all and of several islands."""
    improvements = site.reader.improvements(run)
    records = folded.records if len(folded.islands) > 1 else []
    rows = [each.evaluation for each in improvements] + [each.evaluation for each in records]
    at, last = _ordinals(site, run, rows)
    best = [
        Point(
            at[each.evaluation],
            each.objective,
            f"program {each.program}\n{run.objective.name} {number(each.objective)}\n"
            f"evaluation {at[each.evaluation]}, after {duration(each.elapsed_s)}",
            site.links.program(each.program),
        )
        for each in improvements
    ]
    lines = [_until(last, best)]
    for island in _best_islands(folded) if records else ():
        points = [
            Point(at[each.evaluation], run.objective.fitness(each.fitness))
            for each in records
            if each.island == island
        ]
        lines.append(Line(f"island {island}", points, main=False))
    return lines


def _led(site: Site, run: RunRecord, folded: Folded, known: Mapping[int, Estimate]) -> list[Line]:
    """Return the best elites where scores vary, of all and of several islands."""
    leads = [lead for lead in folded.leads if lead.program is not None]
    at, last = _ordinals(site, run, [lead.at for lead in leads])
    best: list[Point] = []
    shown = _best_islands(folded) if len(folded.islands) > 1 else []
    islands: dict[int, list[Point]] = {island: [] for island in shown}
    for lead in leads:
        score = worth(lead, known, run.objective)
        if lead.island is None:
            tip = (
                f"program {lead.program}\n{run.objective.name} {varied(score)}\n"
                f"best elite from evaluation {at[lead.at]}"
            )
            best.append(Point(at[lead.at], score.mean, tip, site.links.program(lead.program or 0)))
        elif lead.island in islands:
            islands[lead.island].append(Point(at[lead.at], score.mean))
    return [
        _until(last, best),
        *(Line(f"island {island}", each, main=False) for island, each in islands.items()),
    ]


def _ordinals(site: Site, run: RunRecord, rows: list[int]) -> tuple[dict[int, int], int]:
    """Return how many evaluations there were at these rows, and at the newest one."""
    latest = site.reader.latest(run.id)[0]
    at = site.reader.ordinals(run.id, [*rows, *([latest] if latest else [])])
    return at, at.get(latest, 0)


def _until(last: int, points: list[Point]) -> Line:
    """Return the curve of the best, kept until the last evaluation."""
    if points and last > points[-1].x:
        points.append(Point(last, points[-1].y))
    return Line("best", points)


def _held_out(site: Site, run: RunRecord) -> list[Line]:
    """Return the course on held-out cases, of a run that was measured on them along the way."""
    marks = site.reader.held_out_marks(run.id)
    if len(marks) < MEASURED:
        return []
    at = site.reader.ordinals(run.id, [mark.evaluation for mark in marks])
    points = [
        Point(
            at[mark.evaluation],
            mark.objective,
            f"program {mark.program}\nheld out {number(mark.objective)}",
            site.links.program(mark.program),
        )
        for mark in marks
    ]
    return [Line("held out", points, main=False)]


def _best_islands(folded: Folded) -> list[int]:
    fitness = {
        island: archive.best.fitness
        for island, archive in folded.islands.items()
        if archive.best is not None
    }
    return sorted(sorted(fitness, key=lambda island: -fitness[island])[:CURVES])
