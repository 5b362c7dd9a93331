"""What an earlier session left behind: put in order, and listed for the engine to finish."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, func, select, update

from evolve.store.ended import PARENTS, ids_in, rows_of
from evolve.store.records import Drawn, ProposalRecord, Recovery
from evolve.store.rows import read_completions
from evolve.store.schema import completions, leases, programs, proposals, runs


def recover(connection: Connection, run_id: int, holder: str, now: float) -> Recovery:
    """Take over a run's unfinished work.

    Requests without a reply become ``unknown`` and cost what was reserved for them, since the
    server may have done the work. Leases pass to the new holder.
    """
    of_run = select(proposals.c.id).where(proposals.c.run_id == run_id)
    connection.execute(
        update(completions)
        .where(completions.c.state == "sent", completions.c.proposal_id.in_(of_run))
        .values(
            state="unknown",
            cost_usd=completions.c.reserved_usd,
            ended_at=now,
            error="the process ended before the reply came",
        )
    )
    mine = leases.c.run_id == run_id
    connection.execute(update(leases).where(mine).values(holder=holder, leased_at=now))
    pending = connection.scalars(
        select(leases.c.program_id).where(mine).order_by(leases.c.program_id)
    )
    unfinished = read_proposals(connection, run_id, proposals.c.status == "open")
    last = connection.scalar(
        select(func.max(proposals.c.iteration)).where(proposals.c.run_id == run_id)
    )
    return Recovery(
        pending=tuple(pending),
        replies=tuple(p for p in unfinished if p.answered),
        unanswered=tuple(p for p in unfinished if not p.answered),
        next_iteration=0 if last is None else last + 1,
        ended=_not_inserted(connection, run_id),
    )


def read_proposals(
    connection: Connection, run_id: int, condition: ColumnElement[bool]
) -> tuple[ProposalRecord, ...]:
    """Read the proposals of a run that meet a condition, in order of their iterations."""
    rows = connection.execute(
        select(proposals, programs.c.id.label("program"))
        .outerjoin(programs, programs.c.proposal_id == proposals.c.id)
        .where(proposals.c.run_id == run_id, condition)
        .order_by(proposals.c.iteration)
    ).all()
    return tuple(
        ProposalRecord(
            id=row.id,
            iteration=row.iteration,
            operator=row.operator,
            model=row.model,
            island=row.island,
            parents=tuple(row.parents),
            inspirations=tuple(row.inspirations),
            completions=read_completions(connection, row.id),
            begun_at=row.created_at,
            status=row.status,
            reason=row.reason,
            message=row.message,
            inserted=row.inserted,
            program=row.program,
            instruction=row.instruction,
            start=row.start,
        )
        for row in rows
    )


def is_strict(connection: Connection, run_id: int) -> bool:
    """Return whether the iterations of a run were drawn in strict order; the first one tells."""
    first = (
        select(proposals.c.inserted)
        .where(proposals.c.run_id == run_id)
        .order_by(proposals.c.iteration)
        .limit(1)
    )
    return connection.scalar(first) is not None


def read_draws(connection: Connection, run_id: int) -> Iterator[Drawn]:
    """Yield who varied what in each iteration of a run in strict order."""
    query = (
        select(proposals.c.iteration, proposals.c.inserted, proposals.c.operator, PARENTS)
        .where(proposals.c.run_id == run_id, proposals.c.inserted.is_not(None))
        .order_by(proposals.c.iteration)
    )
    for row in rows_of(connection, query):
        yield Drawn._make((*row[:3], ids_in(row[3])))


def _not_inserted(connection: Connection, run_id: int) -> tuple[ProposalRecord, ...]:
    """Return, of a run in strict order, what has ended and waits for its turn."""
    # Refusals are not written down when their turn comes, but a draw tells how many had had theirs.
    drawn_from = connection.scalar(
        select(func.max(proposals.c.inserted)).where(proposals.c.run_id == run_id)
    )
    run = runs.c.id == run_id
    inserted = max(connection.scalars(select(runs.c.inserted).where(run)).one(), drawn_from or 0)
    connection.execute(update(runs).where(run).values(inserted=inserted))
    strict = proposals.c.inserted.is_not(None)
    ended = proposals.c.status.in_(["rejected", "duplicate", "evaluated", "wrote"])
    return read_proposals(connection, run_id, strict & ended & (proposals.c.iteration >= inserted))
