"""What an earlier session left behind: put in order, and listed for the engine to finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, true, update

from evolve.store.ended import PARENTS, ids_in, rows_of
from evolve.store.records import Drawn, ProposalRecord, Recovery
from evolve.store.rows import read_completions
from evolve.store.schema import completions, leases, programs, proposals, runs


def everyone(column: ColumnElement[Any]) -> ColumnElement[bool]:  # noqa: ARG001 - as others are
    """Select what any controller was at work on."""
    return true()


def recover(
    connection: Connection,
    run_id: int,
    holder: str,
    now: float,
    *,
    controller: int | None = None,
    whose: Callable[[ColumnElement[Any]], ColumnElement[bool]] = everyone,
) -> Recovery:
    """Take over a run's unfinished work.

    Requests without a reply become ``unknown`` and cost what was reserved for them, since the
    server may have done the work. Leases pass to the new holder.

    Args:
        connection: A transaction.
        run_id: The run.
        holder: Whose they are from now on.
        now: Unix seconds.
        controller: Its id, where several share the run.
        whose: Selects, by the column that names a controller, what is taken over.
    """
    abandoned = (proposals.c.run_id == run_id) & whose(proposals.c.controller)
    lost = _give_up_calls(connection, abandoned, now)
    mine = (leases.c.run_id == run_id) & whose(leases.c.controller)
    pending = connection.scalars(
        select(leases.c.program_id).where(mine).order_by(leases.c.program_id)
    ).all()
    connection.execute(
        update(leases).where(mine).values(holder=holder, leased_at=now, controller=controller)
    )
    unfinished = read_proposals(connection, run_id, abandoned & (proposals.c.status == "open"))
    begun = abandoned & proposals.c.status.in_(["open", "added"])
    connection.execute(update(proposals).where(begun).values(controller=controller))
    last = connection.scalar(
        select(func.max(proposals.c.iteration)).where(proposals.c.run_id == run_id)
    )
    return Recovery(
        pending=tuple(pending),
        replies=tuple(p for p in unfinished if p.answered),
        unanswered=tuple(p for p in unfinished if not p.answered),
        next_iteration=0 if last is None else last + 1,
        ended=_not_inserted(connection, run_id),
        lost_calls=lost,
    )


def _give_up_calls(
    connection: Connection, abandoned: ColumnElement[bool], now: float
) -> tuple[int, ...]:
    """End the calls of abandoned proposals that wait for a reply, and return them."""
    lost = connection.scalars(
        select(completions.c.id)
        .join(proposals)
        .where(completions.c.state == "sent", abandoned)
        .order_by(completions.c.id)
    ).all()
    connection.execute(
        update(completions)
        .where(completions.c.id.in_(lost))
        .values(
            state="unknown",
            cost_usd=completions.c.reserved_usd,
            ended_at=now,
            error="the process ended before the reply came",
        )
    )
    return tuple(lost)


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
