"""What came of every proposal, in the order it became known."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select, true

from evolve.core.evaluation import Outcome
from evolve.store.records import Ended
from evolve.store.schema import completions, evaluations, programs, proposals
from evolve.store.summaries import FOUND


def ended(
    connection: Connection,
    run_id: int,
    evaluator: str,
    *,
    program: int | None = None,
    proposal: int | None = None,
) -> tuple[Ended, ...]:
    """Return what ended, oldest first; proposals still under way are left out.

    Args:
        connection: A transaction.
        run_id: The run.
        evaluator: Version of the evaluator whose verdicts count.
        program: Only what this program came from.
        proposal: Only this one, if it came to nothing.
    """
    found: list[Ended] = []
    if program is None:
        found += _fruitless(
            connection, run_id, true() if proposal is None else proposals.c.id == proposal
        )
    if proposal is None:
        judged = true() if program is None else programs.c.id == program
        found += _evaluated(connection, run_id, evaluator, judged)
    return tuple(sorted(found, key=lambda each: each.at))


_COST = (
    select(func.coalesce(func.sum(completions.c.cost_usd), 0.0))
    .where(completions.c.proposal_id == proposals.c.id)
    .scalar_subquery()
)


def _fruitless(connection: Connection, run_id: int, which: ColumnElement[bool]) -> list[Ended]:
    rows = connection.execute(
        select(proposals, _COST.label("cost_usd"))
        .where(
            proposals.c.run_id == run_id,
            proposals.c.status.in_(["rejected", "duplicate"]),
            which,
        )
        .order_by(proposals.c.ended_at, proposals.c.id)
    )
    return [
        Ended(
            iteration=row.iteration,
            operator=row.operator,
            model=row.model,
            island=row.island,
            parents=tuple(row.parents),
            program_id=None,
            summary="",
            ended=row.reason,
            objective=None,
            message=row.message,
            cost_usd=row.cost_usd,
            at=row.ended_at,
        )
        for row in rows
    ]


def _evaluated(
    connection: Connection, run_id: int, evaluator: str, which: ColumnElement[bool]
) -> list[Ended]:
    rows = connection.execute(
        select(
            proposals.c.iteration,
            proposals.c.model,
            proposals.c.parents,
            programs,
            evaluations.c.outcome,
            evaluations.c.objective,
            evaluations.c.message,
            evaluations.c.created_at.label("at"),
            _COST.label("cost_usd"),
        )
        .select_from(evaluations.join(programs).outerjoin(proposals))
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.evaluator == evaluator,
            evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
            FOUND,
            which,
        )
        .order_by(evaluations.c.id)
    )
    return [
        Ended(
            iteration=row.iteration,
            operator=row.operator,
            model=row.model or "",
            island=row.island,
            parents=tuple(row.parents or ()),
            program_id=row.id,
            summary=row.summary,
            ended=row.outcome,
            objective=row.objective,
            message=row.message,
            cost_usd=row.cost_usd,
            at=row.at,
        )
        for row in rows
    ]
