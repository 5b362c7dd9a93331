"""Programs as table rows: the one query behind every list of programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Join, Row, Select, func, select

from evolve.core.evaluation import Outcome
from evolve.store.records import ProgramEntry
from evolve.store.schema import evaluations, parents, programs, proposals, runs

#: Parameters in one statement; databases have a limit.
AT_ONCE = 500


#: Rows named in the message about an unknown or ambiguous reference.
NAMED = 10


#: Rows are numbered below this.
_BEYOND = 2**31


def row_number(ref: int | str) -> int:
    """Return the number of the row that people name so; 0, which no row has, if none can be."""
    number = int(ref)
    return number if number < _BEYOND else 0


def entries(*, scored: bool = False) -> Select[Any]:
    """Select programs with their newest search evaluation.

    Args:
        scored: Only programs that have a score, and then the query can be read in its order.
    """
    evaluated = with_newest_evaluation(isouter=not scored)
    query = select(
        programs,
        proposals.c.iteration,
        evaluations.c.outcome,
        evaluations.c.objective,
        evaluations.c.measures,
        evaluations.c.message,
    ).select_from(evaluated.outerjoin(proposals, proposals.c.id == programs.c.proposal_id))
    return query.where(evaluations.c.objective.is_not(None)) if scored else query


def with_newest_evaluation(*, isouter: bool) -> Join:
    """Join programs with their newest search evaluation, or with nothing where there is none.

    Args:
        isouter: Whether programs without one are wanted.
    """
    newest = evaluations.alias("newest")
    latest = (
        select(func.max(newest.c.id))
        .where(newest.c.program_id == evaluations.c.program_id, newest.c.stage == "search")
        .scalar_subquery()
    )
    judged = (evaluations.c.program_id == programs.c.id) & (evaluations.c.id == latest)
    return programs.join(evaluations, judged, isouter=isouter)


def read_entries(connection: Connection, query: Select[Any]) -> tuple[ProgramEntry, ...]:
    """Run a query made from `entries`."""
    rows = connection.execute(query).all()
    of: dict[int, list[int]] = {}
    for start in range(0, len(rows), AT_ONCE):
        chosen = [row.id for row in rows[start : start + AT_ONCE]]
        for program_id, parent_id in connection.execute(
            select(parents.c.program_id, parents.c.parent_id)
            .where(parents.c.program_id.in_(chosen))
            .order_by(parents.c.program_id, parents.c.position)
        ):
            of.setdefault(program_id, []).append(parent_id)
    return tuple(_entry(row, tuple(of.get(row.id, ()))) for row in rows)


def program_hashes(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Return the content hash of each program, by id."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), AT_ONCE):
        chosen = programs.c.id.in_(ids[start : start + AT_ONCE])
        rows = connection.execute(select(programs.c.id, programs.c.hash).where(chosen))
        found.update((row.id, row.hash) for row in rows)
    return found


def _entry(row: Row[Any], parent_ids: tuple[int, ...]) -> ProgramEntry:
    return ProgramEntry(
        id=row.id,
        run_id=row.run_id,
        hash=row.hash,
        iteration=row.iteration,
        operator=row.operator,
        generation=row.generation,
        island=row.island,
        parents=parent_ids,
        summary=row.summary,
        created_at=row.created_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        objective=row.objective,
        measures=row.measures or {},
        message=row.message or "",
    )


def unknown_run(connection: Connection, ref: int | str | None) -> str:
    """Say that there is no such run, and which there are."""
    rows = connection.execute(
        select(runs.c.id, runs.c.name, runs.c.problem).order_by(runs.c.id.desc()).limit(NAMED)
    ).all()
    if not rows:
        return "holds no run yet; `evolve run` makes one"
    named = ", ".join(f"{row.id} ({row.name}, {row.problem})" for row in rows)
    return f"no run {ref!r}; there are {named}"
