"""What came of every proposal, in the order it became known or in that of iterations.

A run of a million programs is read through here when it is resumed, so rows are read lean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
)

from evolve.core.evaluation import Outcome
from evolve.store.records import Ended
from evolve.store.schema import completions, evaluations, instructions, programs, proposals
from evolve.store.summaries import FOR_GRADES, FOUND

#: Rows in memory at a time.
AT_ONCE = 10_000
#: The parents of a proposal as they are written, for `ids_in`: no JSON parser for each row.
PARENTS = cast(proposals.c.parents, Text)


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
    if program is not None:
        which = {"run_id": run_id, "evaluator": evaluator, "program": program}
        return map(_ended, connection.execute(_OF_PROGRAM, which))
    if proposal is not None:
        return map(_ended, connection.execute(_OF_PROPOSAL, {"run_id": run_id, "id": proposal}))
    cost = _cost(connection, run_id)
    fruitless = _fruitless(run_id, cost).order_by(proposals.c.ended_at, proposals.c.id)
    evaluated = _evaluated(run_id, evaluator, cost).order_by(evaluations.c.id)
    found = _read(connection, fruitless), _read(connection, evaluated)
    return merge(*found, key=attrgetter("at"))


def ended_among(
    connection: Connection,
    run_id: int,
    evaluator: str,
    program_ids: Collection[int],
    proposal_ids: Collection[int],
) -> tuple[dict[int, Ended], dict[int, Ended]]:
    """Return what came of some programs, and of some proposals that came to nothing, by id."""
    judged: dict[int, Ended] = {}
    refused: dict[int, Ended] = {}
    if program_ids:
        values = {"run_id": run_id, "evaluator": evaluator, "ids": list(program_ids)}
        for row in connection.execute(_AMONG_PROGRAMS, values):
            judged[row[5]] = _ended(row)
    if proposal_ids:
        values = {"run_id": run_id, "ids": list(proposal_ids)}
        for row in connection.execute(_AMONG_PROPOSALS, values):
            refused[row[-1]] = _ended(row[:-1])
    return judged, refused


def ended_in_order(connection: Connection, run_id: int, evaluator: str) -> Iterator[Ended]:
    """Yield all that ended in the order of iterations, what nobody proposed first."""
    cost = _cost(connection, run_id)
    evaluated = _evaluated(run_id, evaluator, cost)
    planted = evaluated.where(programs.c.proposal_id.is_(None)).order_by(evaluations.c.id)
    yield from _read(connection, planted)
    by_iteration = proposals.c.iteration
    proposed = evaluated.where(proposals.c.run_id == run_id).order_by(by_iteration)
    fruitless = _fruitless(run_id, cost).order_by(by_iteration)
    found = _read(connection, fruitless), _read(connection, proposed)
    yield from merge(*found, key=attrgetter("iteration"))


def rows_of(connection: Connection, query: Select[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query, however many, without holding them all."""
    result = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    for chunk in result.partitions():
        yield from chunk


def ids_in(text: str | None) -> tuple[int, ...]:
    """Return the numbers of a JSON list of integers, as `PARENTS` gives it."""
    if not text or text == "[]":
        return ()
    return tuple(map(int, text[1:-1].split(","))) if "," in text else (int(text[1:-1]),)


_COST = (
    select(func.coalesce(func.sum(completions.c.cost_usd), 0.0))
    .where(
        completions.c.proposal_id == proposals.c.id,
        case((FOR_GRADES, 0), else_=1) == 1,  # also while the proposal is open
    )
    .scalar_subquery()
)


def _cost(connection: Connection, run_id: int) -> ColumnElement[float]:
    """Return what each proposal of a run cost: nothing where no model was ever asked."""
    asked = select(completions.c.id).join(proposals).where(proposals.c.run_id == run_id)
    some = connection.scalar(asked.limit(1)) is not None
    return _COST if some else literal(0.0)


def _fruitless(run_id: int | BindParameter[int], cost: ColumnElement[float]) -> Select[Any]:
    wrote = instructions.c.proposal_id == proposals.c.id
    return (
        select(
            proposals.c.iteration,
            proposals.c.operator,
            proposals.c.model,
            proposals.c.island,
            PARENTS,
            null(),
            literal(""),
            proposals.c.reason,
            null(),
            proposals.c.message,
            cost,
            proposals.c.ended_at,
            proposals.c.instruction,
            instructions.c.number,
        )
        .select_from(proposals.outerjoin(instructions, wrote))
        .where(
            proposals.c.run_id == run_id,
            proposals.c.status.in_(["rejected", "duplicate", "wrote"]),
        )
    )


def _evaluated(
    run_id: int | BindParameter[int],
    evaluator: str | BindParameter[str],
    cost: ColumnElement[float],
) -> Select[Any]:
    return (
        select(
            proposals.c.iteration,
            programs.c.operator,
            func.coalesce(proposals.c.model, ""),
            programs.c.island,
            PARENTS,
            programs.c.id,
            programs.c.summary,
            evaluations.c.outcome,
            evaluations.c.objective,
            evaluations.c.message,
            cost,
            evaluations.c.created_at,
            proposals.c.instruction,
            null(),
        )
        .select_from(evaluations.join(programs).outerjoin(proposals))
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.evaluator == evaluator,
            evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
            FOUND,
        )
    )


def _read(connection: Connection, query: Select[Any]) -> Iterator[Ended]:
    """Read rows whose columns are those of `Ended`, in its order."""
    return map(_ended, rows_of(connection, query))


def _ended(row: Sequence[Any]) -> Ended:
    return Ended._make((*row[:4], ids_in(row[4]), *row[5:]))


# What every iteration asks is made once: making a statement takes longer than executing it.
_OF_PROGRAM = (
    _evaluated(bindparam("run_id"), bindparam("evaluator"), _COST)
    .where(programs.c.id == bindparam("program"))
    .order_by(evaluations.c.id)
)
_OF_PROPOSAL = _fruitless(bindparam("run_id"), _COST).where(proposals.c.id == bindparam("id"))
_AMONG_PROGRAMS = _evaluated(bindparam("run_id"), bindparam("evaluator"), _COST).where(
    programs.c.id.in_(bindparam("ids", expanding=True))
)
_AMONG_PROPOSALS = (
    _fruitless(bindparam("run_id"), _COST)
    .where(proposals.c.id.in_(bindparam("ids", expanding=True)))
    .add_columns(proposals.c.id)
)
