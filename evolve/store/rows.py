"""Between rows and values: blobs, runs, programs, model calls.

Every function is one step of a caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    Row,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from evolve.core.errors import StoreError
from evolve.core.measures import Figure, Measure, Objective
from evolve.core.program import Program
from evolve.store.calls import CompletionRecord, Reply, ReplyTokens, TokenCounts
from evolve.store.claims import is_held
from evolve.store.records import NewRun, RunRecord
from evolve.store.schema import blobs, completions, parents, program_files, programs
from evolve.store.text import digest, pack, unpack


def same(*columns: Column[Any]) -> tuple[ColumnElement[bool], ...]:
    """Return that columns have the values which a statement is given by their names."""
    return tuple(column == bindparam(column.name) for column in columns)


# What every iteration executes is made once: making a statement takes longer than executing it.
_BLOB = select(blobs.c.id).where(*same(blobs.c.sha256))
_DATA = select(blobs.c.data).where(*same(blobs.c.id))
_SOURCES = (
    select(program_files.c.path, blobs.c.data)
    .join(blobs, blobs.c.id == program_files.c.blob)
    .where(*same(program_files.c.program_id))
)
# One look-up for each key and no ORDER BY: else SQLite may read all programs of the run.
_SAME = select(programs.c.id).where(*same(programs.c.run_id, programs.c.hash))
_ALIKE = select(programs.c.id).where(*same(programs.c.run_id, programs.c.syntax))
_END_CALL = update(completions).where(
    completions.c.id == bindparam("call"), completions.c.state == "sent"
)


@cache
def into(table: Table) -> Insert:
    """Return the statement that adds rows to a table."""
    return insert(table)


def put_blob(connection: Connection, text: str) -> int:
    """Store ``text`` once, whoever refers to it, and return its row."""
    known = connection.scalar(_BLOB, {"sha256": digest(text)})
    if known is not None:
        return int(known)
    return insert_row(connection, blobs, pack(text)._asdict())


def get_blob(connection: Connection, blob: int | None) -> str:
    """Return the text of a blob; empty where there is none."""
    if blob is None:
        return ""
    return unpack(connection.scalars(_DATA, {"id": blob}).one())


def insert_row(connection: Connection, table: Table, values: Mapping[str, object]) -> int:
    """Insert one row and return its integer key."""
    key = connection.execute(into(table), values).inserted_primary_key
    assert key is not None  # one row was inserted
    return int(key[0])


def run_values(run: NewRun) -> dict[str, object]:
    """Return the columns of ``runs`` that a new run fills."""
    return {
        "name": run.name,
        "problem": run.problem,
        "seed": run.seed,
        "objective": run.objective.name,
        "direction": run.objective.direction,
        "objective_offset": run.objective.offset,
        "objective_unit": run.objective.unit,
        "record": None if run.record is None else asdict(run.record),
        "measures": [measure.as_dict() for measure in run.measures],
        "evaluator": run.evaluator_ref,
        "config": run.config_json,
        "config_hash": run.config_hash,
        "problem_hash": run.problem_hash,
        "provenance": dict(run.provenance),
        "kind": run.kind,
    }


def run_record(row: Row[Any], now: float) -> RunRecord:
    """Read a row of ``runs``; ``now`` decides whether its claim is still good."""
    return RunRecord(
        id=row.id,
        name=row.name,
        problem=row.problem,
        seed=row.seed,
        status=row.status,
        reason=row.reason,
        created_at=row.created_at,
        ended_at=row.ended_at,
        elapsed_s=row.elapsed_s,
        archive=row.archive,
        holder=row.holder,
        live=is_held(row, now),
        inserted=row.inserted,
        kind=row.kind,
        config_json=row.config,
        config_hash=row.config_hash,
        problem_hash=row.problem_hash,
        evaluator_ref=row.evaluator,
        provenance=row.provenance,
        objective=Objective(row.objective, row.direction, row.objective_offset, row.objective_unit),
        record=None if row.record is None else Figure(**row.record),
        measures=tuple(Measure.from_dict(axis) for axis in row.measures),
    )


def known_program(
    connection: Connection, run_id: int, program: Program, *, alike: bool
) -> int | None:
    """Return the row of a program that a run has already, if it has.

    Args:
        connection: A transaction.
        run_id: The run.
        program: What is looked for.
        alike: Whether one that differs in comments and layout only is the same.
    """
    looked_for = {"run_id": run_id, "hash": program.id, "syntax": program.syntax_id}
    found = [
        int(number)
        for query in ([_SAME, _ALIKE] if alike else [_SAME])
        for number in connection.scalars(query, looked_for)
    ]
    return min(found, default=None)


def write_sources(
    connection: Connection, program_id: int, program: Program, parent_ids: Sequence[int]
) -> None:
    """Insert the files and parents of a program."""
    connection.execute(
        into(program_files),
        [
            {"program_id": program_id, "path": path, "blob": put_blob(connection, text)}
            for path, text in program.files.items()
        ],
    )
    if parent_ids:
        connection.execute(
            into(parents),
            [
                {"program_id": program_id, "position": position, "parent_id": parent_id}
                for position, parent_id in enumerate(parent_ids)
            ],
        )


def read_program(connection: Connection, program_id: int) -> Program:
    """Read the sources of a program."""
    rows = connection.execute(_SOURCES, {"program_id": program_id})
    return Program({row.path: unpack(row.data) for row in rows})


def token_values(tokens: ReplyTokens, *, assumed: bool) -> dict[str, int]:
    """Return the columns of ``completions`` that hold token counts."""
    return {
        "tokens_input": tokens.input,
        "tokens_cached": tokens.cached,
        "tokens_output": tokens.output,
        "tokens_reasoning": tokens.reasoning,
        "tokens_written": tokens.written,
        "tokens_assumed": int(assumed),
    }


def token_counts(row: Row[Any]) -> TokenCounts:
    """Return the token counts of a row of ``completions``."""
    return TokenCounts(
        row.tokens_input,
        row.tokens_cached,
        row.tokens_output,
        row.tokens_reasoning,
        row.tokens_written,
    )


def reply_values(connection: Connection, reply: Reply) -> dict[str, object]:
    """Return the columns of ``completions`` that a reply fills, tokens and money apart."""
    return {
        "state": "received",
        "finish": reply.finish,
        "latency_s": reply.latency_s,
        "server_model": reply.model,
        "reply_blob": put_blob(connection, reply.text),
    }


def end_call(
    connection: Connection, completion_id: int, now: float, values: Mapping[str, object]
) -> None:
    """End a model call that waits for its reply.

    Raises:
        StoreError: it has ended already, or never began.
    """
    ended = connection.execute(_END_CALL, {"call": completion_id, "ended_at": now, **values})
    if ended.rowcount == 0:
        raise StoreError(f"model call {completion_id} has ended already, or never began")


def read_completions(connection: Connection, proposal_id: int) -> tuple[CompletionRecord, ...]:
    """Read the model calls of a proposal, oldest first."""
    rows = connection.execute(
        select(completions)
        .where(completions.c.proposal_id == proposal_id)
        .order_by(completions.c.id)
    ).all()
    return tuple(_completion(connection, row) for row in rows)


def read_reply(
    connection: Connection, model: str, prompt: str, proposal_id: int | None
) -> CompletionRecord | None:
    """Read the oldest call that a model answered whose request was ``prompt``, to the letter.

    Args:
        connection: A transaction.
        model: The model.
        prompt: The request as JSON.
        proposal_id: What the call was made for; None for anything.
    """
    mine = () if proposal_id is None else (completions.c.proposal_id == proposal_id,)
    row = connection.execute(
        select(completions)
        .join(blobs, blobs.c.id == completions.c.prompt_blob)
        .where(
            blobs.c.sha256 == digest(prompt),
            completions.c.model == model,
            completions.c.state == "received",
            *mine,
        )
        .order_by(completions.c.id)
        .limit(1)
    ).one_or_none()
    return None if row is None else _completion(connection, row)


def _completion(connection: Connection, row: Row[Any]) -> CompletionRecord:
    return CompletionRecord(
        id=row.id,
        model=row.model,
        server_model=row.server_model,
        state=row.state,
        prompt=get_blob(connection, row.prompt_blob),
        text=get_blob(connection, row.reply_blob),
        finish=row.finish,
        error=row.error,
        tokens=token_counts(row),
        assumed=bool(row.tokens_assumed),
        cost_usd=row.cost_usd,
        latency_s=row.latency_s,
    )
