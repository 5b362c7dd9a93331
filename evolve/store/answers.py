"""What models answered, and what came of it: the raw material of preferences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from evolve.store.entries import with_newest_evaluation
from evolve.store.rows import get_blob
from evolve.store.schema import completions, evaluations, programs, proposals

_AT_ONCE = 500


class Answer(NamedTuple):
    """A proposal for which a model was asked.

    Attributes:
        call: Its first model call.
        calls: How many calls were made for it.
        reply: Identifies the text of the first reply: equal texts have equal numbers; None when
            there is none.
        status: As in ``proposals``.
        program: What came of it; None when nothing did.
        outcome: Of the program's newest search evaluation.
        cpu_ns: CPU time of that; None when it was taken over from another program.
    """

    iteration: int
    parent: int
    operator: str
    call: int
    calls: int
    reply: int | None
    status: str
    program: int | None
    outcome: str | None
    objective: float | None
    cpu_ns: int | None


class Exchange(NamedTuple):
    """What was said: the messages of a request as JSON values, and the reply."""

    messages: list[dict[str, str]]
    reply: str
    model: str


def read_answers(connection: Connection, run_id: int) -> Iterator[Answer]:
    """Yield the proposals of a run for which models were asked, by parent and operator."""
    counted = (
        select(
            completions.c.proposal_id,
            func.min(completions.c.id).label("first"),
            func.count().label("calls"),
        )
        .group_by(completions.c.proposal_id)
        .subquery()
    )
    judged = with_newest_evaluation(isouter=True)
    parent = proposals.c.parents[0].as_integer()
    rows = connection.execute(
        select(
            proposals.c.iteration,
            parent.label("parent"),
            proposals.c.operator,
            completions.c.id,
            counted.c.calls,
            completions.c.reply_blob,
            proposals.c.status,
            programs.c.id.label("program"),
            evaluations.c.outcome,
            evaluations.c.objective,
            evaluations.c.cpu_ns,
            evaluations.c.copied_from,
        )
        .select_from(
            proposals.join(counted, counted.c.proposal_id == proposals.c.id)
            .join(completions, completions.c.id == counted.c.first)
            .outerjoin(judged, programs.c.proposal_id == proposals.c.id)
        )
        .where(proposals.c.run_id == run_id)
        .order_by(parent.nulls_first(), proposals.c.operator, proposals.c.iteration)
        .execution_options(yield_per=_AT_ONCE)
    )
    for row in rows:
        yield Answer(
            iteration=row.iteration,
            parent=row.parent,
            operator=row.operator,
            call=row.id,
            calls=row.calls,
            reply=row.reply_blob,
            status=row.status,
            program=row.program,
            outcome=row.outcome,
            objective=row.objective,
            cpu_ns=row.cpu_ns if row.copied_from is None else None,
        )


def read_exchange(connection: Connection, call: int) -> Exchange:
    """Read a model call that was answered."""
    row = connection.execute(
        select(completions.c.prompt_blob, completions.c.reply_blob, completions.c.model).where(
            completions.c.id == call
        )
    ).one()
    messages = json.loads(get_blob(connection, row.prompt_blob))["messages"]
    return Exchange(messages, get_blob(connection, row.reply_blob), row.model)
