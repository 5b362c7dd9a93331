"""What a run had spent when its best changed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, func, select

from evolve.store.progress import progress
from evolve.store.records import RunRecord
from evolve.store.schema import completions, proposals
from evolve.store.summaries import ENDED

#: What a budget is counted in.
Unit: TypeAlias = Literal["evaluations", "tokens", "cost_usd"]

UNITS: tuple[Unit, ...] = ("evaluations", "tokens", "cost_usd")
_PAID: Mapping[Unit, ColumnElement[float]] = MappingProxyType(
    {
        "tokens": completions.c.tokens_input + completions.c.tokens_output,
        "cost_usd": func.coalesce(completions.c.cost_usd, 0.0),
    }
)


def rises(connection: Connection, run: RunRecord, unit: Unit) -> tuple[tuple[float, float], ...]:
    """Return what had been spent at every change of the best objective, and what it was then.

    Args:
        connection: Of the caller's transaction.
        run: Which run.
        unit: Search evaluations, or tokens and money of the model calls that had ended.
    """
    points = progress(connection, run)
    if unit == "evaluations":
        return tuple((float(point.evaluations), point.best) for point in points)
    rows = connection.execute(
        select(completions.c.ended_at, _PAID[unit])
        .join(proposals, proposals.c.id == completions.c.proposal_id)
        .where(proposals.c.run_id == run.id, ENDED, completions.c.ended_at.is_not(None))
        .order_by(completions.c.ended_at)
    ).all()
    moments = [row[0] for row in rows]
    totals = [0.0, *accumulate(float(row[1]) for row in rows)]
    return tuple((totals[bisect_right(moments, point.at)], point.best) for point in points)
