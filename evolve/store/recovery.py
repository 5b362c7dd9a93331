"""What an earlier session left behind: put in order, and listed for the engine to finish."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from evolve.store.records import OpenProposal, Recovery
from evolve.store.rows import read_completions
from evolve.store.schema import completions, leases, proposals


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
    unfinished = _open_proposals(connection, run_id)
    answered = {
        proposal.id
        for proposal in unfinished
        if any(call.state == "received" for call in proposal.completions)
    }
    last = connection.scalar(
        select(func.max(proposals.c.iteration)).where(proposals.c.run_id == run_id)
    )
    return Recovery(
        pending=tuple(pending),
        replies=tuple(p for p in unfinished if p.id in answered),
        unanswered=tuple(p for p in unfinished if p.id not in answered),
        next_iteration=0 if last is None else last + 1,
    )


def _open_proposals(connection: Connection, run_id: int) -> list[OpenProposal]:
    rows = connection.execute(
        select(proposals)
        .where(proposals.c.run_id == run_id, proposals.c.status == "open")
        .order_by(proposals.c.iteration)
    ).all()
    return [
        OpenProposal(
            id=row.id,
            iteration=row.iteration,
            operator=row.operator,
            model=row.model,
            island=row.island,
            parents=tuple(row.parents),
            inspirations=tuple(row.inspirations),
            completions=read_completions(connection, row.id),
        )
        for row in rows
    ]
