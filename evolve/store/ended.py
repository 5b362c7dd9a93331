"""What came of every proposal, in the order it became known."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from sqlalchemy import ColumnElement, Connection, func, select, true

from evolve.core.evaluation import Outcome
from evolve.store.records import Ended
from evolve.store.schema import completions, evaluations, instructions, programs, proposals
from evolve.store.summaries import FOUND

#: Rows in memory at a time.
_AT_ONCE = 10_000


def ended(
    connection: Connection,
    run_id: int,
    evaluator: str,
    *,
    program: int | None = None,
    proposal: int | None = None,
) -> Iterator[Ended]:
    """Yield what ended, oldest first; proposals still under way are left out.

    Args:
        connection: A transaction.
        run_id: The run.
        evaluator: Version of the evaluator whose verdicts count.
        program: Only what this program came from.
        proposal: Only this one, if it came to nothing.
    """
    found: list[Iterator[Ended]] = []
    if program is None:
        which = true() if proposal is None else proposals.c.id == proposal
        found.append(_fruitless(connection, run_id, which))
    if proposal is None:
        judged = true() if program is None else programs.c.id == program
        found.append(_evaluated(connection, run_id, evaluator, judged))
    return merge(*found, key=lambda each: each.at)


_COST = (
    select(func.coalesce(func.sum(completions.c.cost_usd), 0.0))
    .where(completions.c.proposal_id == proposals.c.id)
    .scalar_subquery()
)


def _fruitless(connection: Connection, run_id: int, which: ColumnElement[bool]) -> Iterator[Ended]:
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(
        select(proposals, instructions.c.number, _COST.label("cost_usd"))
        .select_from(
            proposals.outerjoin(instructions, instructions.c.proposal_id == proposals.c.id)
        )
        .where(
            proposals.c.run_id == run_id,
            proposals.c.status.in_(["rejected", "duplicate", "wrote"]),
            which,
        )
        .order_by(proposals.c.ended_at, proposals.c.id)
    )
    for row in rows:
        yield Ended(
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
            instruction=row.instruction,
            wrote=row.number,
        )


def _evaluated(
    connection: Connection, run_id: int, evaluator: str, which: ColumnElement[bool]
) -> Iterator[Ended]:
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(
        select(
            proposals.c.iteration,
            proposals.c.model,
            proposals.c.parents,
            proposals.c.instruction,
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
    for row in rows:
        yield Ended(
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
            instruction=row.instruction,
        )
