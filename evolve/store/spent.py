"""What a run had spent when its best rose."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, func, select

from evolve.core.measures import Objective
from evolve.store.schema import completions, proposals
from evolve.store.summaries import ENDED, progress

#: What a budget is counted in.
Unit: TypeAlias = Literal["evaluations", "tokens", "cost_usd"]

UNITS: tuple[Unit, ...] = ("evaluations", "tokens", "cost_usd")
_PAID: Mapping[Unit, ColumnElement[float]] = MappingProxyType(
    {
        "tokens": completions.c.tokens_input + completions.c.tokens_output,
        "cost_usd": func.coalesce(completions.c.cost_usd, 0.0),
    }
)


def rises(
    connection: Connection, run_id: int, objective: Objective, unit: Unit
) -> tuple[tuple[float, float], ...]:
    """Return what had been spent at every rise of the best objective, and to what it rose.

    Args:
        connection: Of the caller's transaction.
        run_id: Which run.
        objective: Says what is better.
        unit: Search evaluations, or tokens and money of the model calls that had ended.
    """
    points = progress(connection, run_id, objective)
    if unit == "evaluations":
        return tuple((float(point.evaluations), point.best) for point in points)
    rows = connection.execute(
        select(completions.c.ended_at, _PAID[unit])
        .join(proposals, proposals.c.id == completions.c.proposal_id)
        .where(proposals.c.run_id == run_id, ENDED, completions.c.ended_at.is_not(None))
        .order_by(completions.c.ended_at)
    ).all()
    moments = [row[0] for row in rows]
    totals = [0.0, *accumulate(float(row[1]) for row in rows)]
    return tuple((totals[bisect_right(moments, point.at)], point.best) for point in points)
