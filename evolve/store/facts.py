"""A run as the sequence of its evaluations: what archives and census in memory are folded from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import ColumnElement, Connection, Join, case, select

from evolve.archive.base import MEASURED
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Outcome
from evolve.store.records import ArchiveEvent
from evolve.store.schema import evaluations, parents, programs, proposals, runs
from evolve.store.summaries import FOUND

#: Rows in memory at a time.
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class EvaluationFact:
    """What one search evaluation means for the archives, as it was committed.

    Attributes:
        program_id: What was evaluated.
        parent: The program it was made from; None for the seed program.
        island: What it was proposed for.
        objective: None when it has no score.
        estimate: The objective with its standard error; None when it has no score.
        events: What it changed, in order.
        measures: Those of its score, and ``metrics`` likewise; empty unless they were asked for.
    """

    program_id: int
    parent: int | None
    island: int
    objective: float | None
    events: tuple[ArchiveEvent, ...]
    estimate: Estimate | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def facts(
    connection: Connection,
    run_id: int,
    evaluator: str,
    caused: Mapping[int, Sequence[ArchiveEvent]],
    *,
    scores: bool,
) -> Iterator[EvaluationFact]:
    """Yield search evaluations, see `Reader.facts`; the connection stays open until the last."""
    first_parent = (parents.c.program_id == programs.c.id) & (parents.c.position == 0)
    judged, turn = _judged()
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(
        select(
            evaluations.c.id,
            programs.c.id,
            parents.c.parent_id,
            programs.c.island,
            evaluations.c.objective,
            evaluations.c.error,
            evaluations.c.samples,
            *((evaluations.c.measures, evaluations.c.metrics) if scores else ()),
        )
        .select_from(judged.outerjoin(parents, first_parent))
        .where(*_mine(run_id, evaluator))
        .order_by(turn, evaluations.c.id)
    )
    for row in rows:
        evaluation_id, program_id, parent_id, island, objective, error, many, *rest = row
        measures, metrics = rest or ({}, {})
        events = tuple(caused.get(evaluation_id, ()))
        known = None if objective is None else Estimate(objective, error, many)
        yield EvaluationFact(
            program_id, parent_id, island, objective, events, known, measures, metrics
        )


def counted(connection: Connection, run_id: int, evaluator: str) -> list[int]:
    """Return the evaluations that `facts` yields, in their order."""
    judged, turn = _judged()
    chosen = select(evaluations.c.id).select_from(judged).where(*_mine(run_id, evaluator))
    return list(connection.scalars(chosen.order_by(turn, evaluations.c.id)))


def tried_in_vain(
    connection: Connection, run_id: int, unrelated: Collection[str]
) -> tuple[int, ...]:
    """Return the parents of proposals that came to nothing, see `Reader.tried_in_vain`."""
    rows = connection.scalars(
        select(proposals.c.parents)
        .join(runs, runs.c.id == proposals.c.run_id)
        .where(
            proposals.c.run_id == run_id,
            proposals.c.status.in_(["rejected", "duplicate"]),
            proposals.c.reason.not_in(unrelated),
            _in_the_archive(),
        )
    )
    return tuple(parents[0] for parents in rows)


def _judged() -> tuple[Join, ColumnElement[int]]:
    """Return programs with their evaluations, and the order they count in."""
    judged = (
        programs.join(runs, runs.c.id == programs.c.run_id)
        .join(evaluations, evaluations.c.program_id == programs.c.id)
        .outerjoin(proposals, proposals.c.id == programs.c.proposal_id)
    )
    # In strict order iterations count in their order.
    return judged, case((proposals.c.inserted.is_(None), -1), else_=proposals.c.iteration)


def _mine(run_id: int, evaluator: str) -> tuple[ColumnElement[bool], ...]:
    """Select the search evaluations of a run that count."""
    return (
        programs.c.run_id == run_id,
        evaluations.c.stage == "search",
        evaluations.c.evaluator == evaluator,
        evaluations.c.outcome != Outcome.INFRASTRUCTURE.value,
        FOUND,
        _in_the_archive(),
    )


def _in_the_archive() -> ColumnElement[bool]:
    """Select, in strict order, only iterations whose turn has come."""
    return proposals.c.inserted.is_(None) | (proposals.c.iteration < runs.c.inserted)


def standing(events: Iterable[ArchiveEvent]) -> list[ArchiveEvent]:
    """Return what the archives hold after ``events``, by island, cell and program."""
    held: dict[tuple[int, int, int], ArchiveEvent] = {}
    for entered in events:
        if entered.status == "retired":
            held = {place: e for place, e in held.items() if place[0] != entered.island}
            continue
        if entered.status == MEASURED:
            place = entered.island, entered.cell, entered.program_id
            if place in held:
                held[place] = replace(held[place], fitness=entered.fitness, samples=entered.samples)
            continue
        for left in entered.replaced:
            held.pop((entered.island, entered.cell, left), None)
        held[entered.island, entered.cell, entered.program_id] = entered
    return [elite for _, elite in sorted(held.items())]
