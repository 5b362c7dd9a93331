"""When an iteration was at what: the proposal, its model calls, the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from evolve.core.errors import StoreError
from evolve.store.calls import TokenCounts
from evolve.store.rows import token_counts
from evolve.store.schema import completions, evaluations, programs, proposals


@dataclass(frozen=True, slots=True)
class CallTiming:
    """A model call; ``ended_at`` is None while it has not ended."""

    id: int
    model: str
    server_model: str
    state: str
    finish: str
    error: str
    parameters: Mapping[str, object]
    tokens: TokenCounts
    cost_usd: float | None
    sent_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class EvaluationTiming:
    """The newest search evaluation of a program; ``committed_at`` is when it was over."""

    id: int
    outcome: str
    objective: float | None
    wall_ns: int
    cpu_ns: int
    peak_memory_bytes: int
    copied: bool
    committed_at: float


@dataclass(frozen=True, slots=True)
class Timing:
    """An iteration; of a program that nobody proposed, such as the seed, the evaluation alone.

    Attributes:
        iteration: None where nobody proposed.
        begun_at: When the proposal began; of the seed, when it was added.
        proposed_at: When the proposal ended: its program was there, or nothing came of it.
        status: As in ``proposals``; ``reason`` says in a word why nothing came of it.
    """

    iteration: int | None
    operator: str
    model: str
    island: int
    begun_at: float
    proposed_at: float | None
    status: str
    reason: str
    calls: tuple[CallTiming, ...]
    program: int | None
    evaluation: EvaluationTiming | None


def read_timing(
    connection: Connection, run_id: int, *, iteration: int | None, program: int | None
) -> Timing:
    """Read one iteration, or the program that nobody proposed.

    Raises:
        StoreError: there is none.
    """
    joined = proposals.outerjoin(programs, programs.c.proposal_id == proposals.c.id)
    query = select(proposals, programs.c.id.label("program")).select_from(joined)
    row = connection.execute(
        query.where(proposals.c.run_id == run_id, proposals.c.iteration == iteration)
    ).one_or_none()
    if row is None:
        return _planted(connection, run_id, program)
    return Timing(
        iteration=row.iteration,
        operator=row.operator,
        model=row.model,
        island=row.island,
        begun_at=row.created_at,
        proposed_at=row.ended_at,
        status=row.status,
        reason=row.reason,
        calls=_calls(connection, row.id),
        program=row.program,
        evaluation=_evaluation(connection, row.program),
    )


def _planted(connection: Connection, run_id: int, program: int | None) -> Timing:
    row = connection.execute(
        select(programs).where(programs.c.run_id == run_id, programs.c.id == program)
    ).one_or_none()
    if row is None:
        raise StoreError(f"run {run_id} has no such iteration, and no program {program}")
    return Timing(
        iteration=None,
        operator=row.operator,
        model="",
        island=row.island,
        begun_at=row.created_at,
        proposed_at=row.created_at,
        status="added",
        reason="",
        calls=(),
        program=row.id,
        evaluation=_evaluation(connection, row.id),
    )


def _calls(connection: Connection, proposal_id: int) -> tuple[CallTiming, ...]:
    rows = connection.execute(
        select(completions)
        .where(completions.c.proposal_id == proposal_id)
        .order_by(completions.c.id)
    )
    return tuple(
        CallTiming(
            id=row.id,
            model=row.model,
            server_model=row.server_model,
            state=row.state,
            finish=row.finish,
            error=row.error,
            parameters=row.parameters,
            tokens=token_counts(row),
            cost_usd=row.cost_usd,
            sent_at=row.sent_at,
            ended_at=row.ended_at,
        )
        for row in rows
    )


def _evaluation(connection: Connection, program: int | None) -> EvaluationTiming | None:
    row = connection.execute(
        select(evaluations)
        .where(evaluations.c.program_id == program, evaluations.c.stage == "search")
        .order_by(evaluations.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return EvaluationTiming(
        id=row.id,
        outcome=row.outcome,
        objective=row.objective,
        wall_ns=row.wall_ns,
        cpu_ns=row.cpu_ns,
        peak_memory_bytes=row.peak_memory_bytes,
        copied=row.copied_from is not None,
        committed_at=row.created_at,
    )
