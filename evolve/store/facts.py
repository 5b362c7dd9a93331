"""A run as the sequence of its evaluations: what archives and census in memory are folded from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, bindparam, select, true

from evolve.core.estimates import Estimate
from evolve.core.evaluation import Outcome
from evolve.store.ended import PARENTS, ids_in, rows_of
from evolve.store.records import ArchiveEvent
from evolve.store.recovery import is_strict
from evolve.store.schema import evaluations, parents, programs, proposals, runs
from evolve.store.summaries import FOUND


class EvaluationFact(NamedTuple):
    """What one search evaluation means for the archives, as it was committed.

    Attributes:
        program_id: What was evaluated.
        parent: The program it was made from; None for the seed program.
        island: What it was proposed for.
        objective: None when it has no score.
        estimate: The objective with its standard error; None when it has no score.
        events: What it changed, in order.
        iteration: That it was proposed in; None for the seed program.
        measures: Those of its score, and ``metrics`` likewise; empty unless they were asked for.
    """

    program_id: int
    parent: int | None
    island: int
    objective: float | None
    events: Sequence[ArchiveEvent] = ()
    estimate: Estimate | None = None
    iteration: int | None = None
    measures: Mapping[str, float] = MappingProxyType({})
    metrics: Mapping[str, float] = MappingProxyType({})


def facts(
    connection: Connection,
    run_id: int,
    evaluator: str,
    caused: Mapping[int, Sequence[ArchiveEvent]],
    *,
    scores: bool,
) -> Iterator[EvaluationFact]:
    """Yield search evaluations, see `Reader.facts`; the connection stays open until the last."""
    query = _facts(scores=scores)
    yield from (_fact(row, caused) for row in _in_order(connection, run_id, evaluator, query))


def facts_among(
    connection: Connection,
    run_id: int,
    evaluator: str,
    program_ids: Collection[int],
    caused: Mapping[int, Sequence[ArchiveEvent]],
    *,
    scores: bool,
) -> dict[int, EvaluationFact]:
    """Return the search evaluations of some programs by program; see `Reader.facts`."""
    values = {"run_id": run_id, "evaluator": evaluator, "ids": list(program_ids)}
    rows = connection.execute(_AMONG[scores], values)
    return {row[1]: _fact(tuple(row), caused) for row in rows}


def _facts(*, scores: bool) -> Select[Any]:
    first_parent = (parents.c.program_id == programs.c.id) & (parents.c.position == 0)
    columns = (
        evaluations.c.id,
        programs.c.id,
        parents.c.parent_id,
        programs.c.island,
        evaluations.c.objective,
        evaluations.c.error,
        evaluations.c.samples,
        proposals.c.iteration,
        *((evaluations.c.measures, evaluations.c.metrics) if scores else ()),
    )
    return select(*columns).select_from(_JUDGED.outerjoin(parents, first_parent))


def _fact(row: tuple[Any, ...], caused: Mapping[int, Sequence[ArchiveEvent]]) -> EvaluationFact:
    objective = row[4]
    known = None if objective is None else Estimate(*row[4:7])
    values = (*row[1:5], caused.get(row[0], ()), known, row[7], *(row[8:] or ({}, {})))
    return EvaluationFact._make(values)


def _counts(evaluator: str | BindParameter[str]) -> tuple[ColumnElement[bool], ...]:
    """Select verdicts of one evaluator version on programs that the search found."""
    return (
        evaluations.c.stage == "search",
        evaluations.c.evaluator == evaluator,
        evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
        FOUND,
    )


def counted(connection: Connection, run_id: int, evaluator: str) -> list[int]:
    """Return the evaluations that `facts` yields, in their order."""
    query = select(evaluations.c.id).select_from(_JUDGED)
    return [number for (number,) in _in_order(connection, run_id, evaluator, query)]


def times(connection: Connection, run_id: int, evaluator: str) -> dict[int, tuple[float, float]]:
    """Return, by program, when an evaluation that `facts` yields was and how long it took."""
    columns = evaluations.c.program_id, evaluations.c.elapsed_s, evaluations.c.wall_ns
    rows = _in_order(connection, run_id, evaluator, select(*columns).select_from(_JUDGED))
    return {program: (elapsed, wall_ns / 1e9) for program, elapsed, wall_ns in rows}


def tried_in_vain(connection: Connection, run_id: int, unrelated: Collection[str]) -> Iterator[int]:
    """Yield the parents of proposals that came to nothing, see `Reader.tried_in_vain`."""
    query = select(PARENTS).where(
        proposals.c.run_id == run_id,
        proposals.c.status.in_(["rejected", "duplicate"]),
        proposals.c.reason.not_in(unrelated),
        _inserted(connection, run_id) if is_strict(connection, run_id) else true(),
    )
    for (text,) in rows_of(connection, query):
        yield ids_in(text)[0]


_JUDGED = programs.join(evaluations, evaluations.c.program_id == programs.c.id).outerjoin(
    proposals, proposals.c.id == programs.c.proposal_id
)


def _in_order(
    connection: Connection, run_id: int, evaluator: str, query: Select[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield rows of the search evaluations of a run that count: in strict order by iteration."""
    query = query.where(evaluations.c.run_id == run_id, *_counts(evaluator))
    if not is_strict(connection, run_id):
        yield from rows_of(connection, query.order_by(evaluations.c.id))
        return
    planted = query.where(programs.c.proposal_id.is_(None)).order_by(evaluations.c.id)
    proposed = query.where(proposals.c.run_id == run_id, _inserted(connection, run_id))
    yield from rows_of(connection, planted)
    yield from rows_of(connection, proposed.order_by(proposals.c.iteration))


def _inserted(connection: Connection, run_id: int) -> ColumnElement[bool]:
    """Select, in strict order, only iterations whose turn has come."""
    inserted: int = connection.scalars(select(runs.c.inserted).where(runs.c.id == run_id)).one()
    return proposals.c.iteration < inserted


# What every iteration asks is made once: making a statement takes longer than executing it.
_AMONG = [
    _facts(scores=scores).where(
        evaluations.c.run_id == bindparam("run_id"),
        evaluations.c.program_id.in_(bindparam("ids", expanding=True)),
        *_counts(bindparam("evaluator")),
    )
    for scores in (False, True)
]
