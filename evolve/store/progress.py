"""How the best objective of a run came about, evaluation by evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from evolve.core.evaluation import Outcome
from evolve.store.archives import read_changes
from evolve.store.leads import leads, worth
from evolve.store.records import ProgressPoint, RunRecord
from evolve.store.sampling import read_estimates
from evolve.store.schema import evaluations, programs
from evolve.store.summaries import FOUND


class _Evaluated(NamedTuple):
    id: int
    objective: float | None
    elapsed_s: float
    created_at: float


def progress(connection: Connection, run: RunRecord) -> tuple[ProgressPoint, ...]:
    """Return one point per change of the best objective, then the last evaluation's.

    Where scores vary the best is the best elite at that moment, by all its samples up to now: the
    best of all first samples is a lucky one. It may fall.
    """
    columns = (getattr(evaluations.c, name) for name in _Evaluated._fields)
    rows = [
        _Evaluated._make(row)
        for row in connection.execute(
            select(*columns)
            .join(programs, programs.c.id == evaluations.c.program_id)
            .where(
                evaluations.c.run_id == run.id,
                evaluations.c.stage == "search",
                evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
                FOUND,
            )
            .order_by(evaluations.c.id)
        )
    ]
    found = _elites(connection, run, rows) if run.noisy else _improvements(run, rows)
    points = {count: _point(rows, count, best) for count, best in found}  # the last of several
    if points and max(points) < len(rows):
        *_, last = points.values()
        points[len(rows)] = _point(rows, len(rows), last.best)
    return tuple(points.values())


def _point(rows: Sequence[_Evaluated], count: int, best: float) -> ProgressPoint:
    row = rows[count - 1]
    return ProgressPoint(count, row.elapsed_s, best, row.created_at)


def _improvements(run: RunRecord, rows: Sequence[_Evaluated]) -> Iterator[tuple[int, float]]:
    best: float | None = None
    for count, row in enumerate(rows, start=1):
        if row.objective is not None and (
            best is None or run.objective.better(row.objective, best)
        ):
            best = row.objective
            yield count, best


def _elites(
    connection: Connection, run: RunRecord, rows: Sequence[_Evaluated]
) -> Iterator[tuple[int, float]]:
    changes = read_changes(connection, run.id, run.archive, [row.id for row in rows])
    led = [
        lead
        for lead in leads(changes)
        if lead.island is None and lead.program is not None and lead.at > 0
    ]
    ids = {lead.program for lead in led if lead.program is not None}
    known = read_estimates(connection, run.id, "search", ids)
    for lead in led:
        yield lead.at, worth(lead, known, run.objective).mean
