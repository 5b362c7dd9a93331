"""What came of all proposals of a run, as columns: what tables of operators are reckoned from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, select

from evolve.core.evaluation import Outcome
from evolve.store.ended import AT_ONCE, PARENTS, ids_in
from evolve.store.recovery import is_strict
from evolve.store.schema import completions, evaluations, programs, proposals
from evolve.store.summaries import FOUND

#: States of proposals that came to their end.
_ENDED = ("rejected", "duplicate", "wrote", "evaluated")


class Fruitless(NamedTuple):
    """Proposals of an operator with a model that led to no evaluation, for one reason."""

    operator: str
    model: str
    reason: str
    many: int


class Verdicts(NamedTuple):
    """The evaluated programs of a run, in the order in which the run learnt of them.

    Attributes:
        operators: Operators with their models.
        operator: Of each program, an index into ``operators``.
        program: Its id.
        parent: The id of the program that was varied; -1 for none.
        island: What it was proposed for.
        objective: NaN without a score.
        fruitless: What led to no evaluation, counted.
        cost_usd: Known price of the model calls of each of ``operators``, fruitless ones included.
    """

    operators: list[tuple[str, str]]
    operator: NDArray[np.int64]
    program: NDArray[np.int64]
    parent: NDArray[np.int64]
    island: NDArray[np.int64]
    objective: NDArray[np.float64]
    fruitless: list[Fruitless]
    cost_usd: dict[tuple[str, str], float]


def read_verdicts(connection: Connection, run_id: int, evaluator: str) -> Verdicts:
    """Read what ended of a run; see `evolve.store.ended` for the same one by one."""
    numbers: dict[tuple[str, str], int] = {}
    columns: list[list[NDArray[np.float64]]] = []
    query = (
        select(
            programs.c.operator,
            func.coalesce(proposals.c.model, ""),
            PARENTS,
            programs.c.id,
            programs.c.island,
            evaluations.c.objective,
        )
        .select_from(evaluations.join(programs).outerjoin(proposals))
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.evaluator == evaluator,
            evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
            FOUND,
        )
        .order_by(*_order(connection, run_id))
    )
    for chunk in connection.execution_options(yield_per=AT_ONCE).execute(query).partitions():
        names, models, parents, *others = zip(*chunk, strict=True)
        pairs = zip(names, models, strict=True)
        codes = [numbers.setdefault(pair, len(numbers)) for pair in pairs]
        firsts = [ids_in(text)[0] if text and text != "[]" else -1 for text in parents]
        columns.append([np.array(each, dtype=float) for each in (codes, firsts, *others)])
    read = [np.concatenate(each) for each in zip(*columns, strict=True)] or [np.empty(0)] * 5
    code, parent, program, island, objective = read
    return Verdicts(
        operators=list(numbers),
        operator=code.astype(np.int64),
        program=program.astype(np.int64),
        parent=parent.astype(np.int64),
        island=island.astype(np.int64),
        objective=objective,
        fruitless=_fruitless(connection, run_id),
        cost_usd=_costs(connection, run_id),
    )


def _order(connection: Connection, run_id: int) -> tuple[ColumnElement[int], ...]:
    """Return the order in which a run learns: by iteration where that is strict, seeds first."""
    if is_strict(connection, run_id):
        return func.coalesce(proposals.c.iteration, -1), evaluations.c.id
    return (evaluations.c.id,)


def _fruitless(connection: Connection, run_id: int) -> list[Fruitless]:
    kind = proposals.c.operator, proposals.c.model, proposals.c.reason
    rows = connection.execute(
        select(*kind, func.count())
        .where(
            proposals.c.run_id == run_id,
            proposals.c.status.in_(["rejected", "duplicate", "wrote"]),
        )
        .group_by(*kind)
    )
    return [Fruitless(*row) for row in rows]


def _costs(connection: Connection, run_id: int) -> dict[tuple[str, str], float]:
    kind = proposals.c.operator, proposals.c.model
    rows = connection.execute(
        select(*kind, func.coalesce(func.sum(completions.c.cost_usd), 0.0))
        .join_from(completions, proposals)
        .where(proposals.c.run_id == run_id, proposals.c.status.in_(_ENDED))
        .group_by(*kind)
    )
    return {(operator, model): usd for operator, model, usd in rows}
