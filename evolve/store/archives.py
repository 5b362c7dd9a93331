"""Definitions of archives, and what entered them. Every function is one step of a transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection, Text, case, cast, func, insert, select

from evolve.archive.spec import ArchiveSpec
from evolve.core.measures import Measure
from evolve.store.ended import AT_ONCE
from evolve.store.records import ArchiveEvent
from evolve.store.results import LEFT
from evolve.store.schema import archive_events, archives, evaluations, programs, runs
from evolve.store.summaries import FOUND


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One archive of a run; ``number`` counts from 0 within the run, ``name`` may be empty."""

    number: int
    name: str
    spec: ArchiveSpec
    created_at: float


class Offer(NamedTuple):
    """A program's score, as it is offered to an archive; the objective in its own direction."""

    program_id: int
    objective: float
    measures: Mapping[str, float]
    metrics: Mapping[str, float]


class MeasureRange(NamedTuple):
    """What programs with a score measured.

    Attributes:
        name: The measure.
        least: Smallest value; None when no program has it, and ``most`` likewise.
        most: Largest value.
        below: How many programs lie below the lower bound.
        above: How many programs lie above the upper bound.
    """

    name: str
    least: float | None
    most: float | None
    below: int
    above: int


def measure_ranges(
    connection: Connection, run_id: int, measures: Sequence[Measure]
) -> tuple[MeasureRange, ...]:
    """Return what programs that the search found measured, beside the bounds, in one pass."""
    values = [
        func.coalesce(
            evaluations.c.measures[measure.name].as_float(),
            evaluations.c.metrics[measure.name].as_float(),
        ).label(f"value_{number}")
        for number, measure in enumerate(measures)
    ]
    # Materialised, or each of the four aggregates would parse the JSON again.
    seen = (
        select(*values)
        .select_from(evaluations.join(programs, programs.c.id == evaluations.c.program_id))
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.objective.is_not(None),
            FOUND,
        )
        .cte("seen")
        .prefix_with("MATERIALIZED")
    )
    found = connection.execute(
        select(
            *(
                part
                for value, measure in zip(seen.c, measures, strict=True)
                for part in (
                    func.min(value),
                    func.max(value),
                    func.coalesce(func.sum(case((value < measure.low, 1), else_=0)), 0),
                    func.coalesce(func.sum(case((value > measure.high, 1), else_=0)), 0),
                )
            )
        )
    ).one()
    return tuple(
        MeasureRange(measure.name, *found[4 * number : 4 * number + 4])
        for number, measure in enumerate(measures)
    )


def write_archive(
    connection: Connection, run_id: int, spec: ArchiveSpec, name: str, now: float
) -> int:
    """Insert the definition of one more archive of a run, and return its number."""
    last = connection.scalar(select(func.max(archives.c.number)).where(archives.c.run_id == run_id))
    number = 0 if last is None else int(last) + 1
    connection.execute(
        insert(archives).values(
            run_id=run_id,
            number=number,
            name=name,
            definition=spec.as_dict(),
            created_at=now,
        )
    )
    return number


def read_archives(connection: Connection, run_id: int) -> tuple[ArchiveRecord, ...]:
    """Read the archives of a run, in the order they were made."""
    rows = connection.execute(
        select(archives).where(archives.c.run_id == run_id).order_by(archives.c.number)
    )
    return tuple(
        ArchiveRecord(row.number, row.name, ArchiveSpec.from_dict(row.definition), row.created_at)
        for row in rows
    )


def read_events(
    connection: Connection, run_id: int, number: int | None
) -> tuple[ArchiveEvent, ...]:
    """Read what entered an archive of a run in order; None: the one that its search uses."""
    if number is None:
        number = connection.scalars(select(runs.c.archive).where(runs.c.id == run_id)).one()
    return tuple(event for _, event in _caused(connection, run_id, {number}))


def read_changes(
    connection: Connection, run_id: int, number: int, counted: Sequence[int]
) -> Iterator[tuple[int, ArchiveEvent]]:
    """Yield what entered an archive of a run in order, and after how many evaluations it did.

    Args:
        connection: A transaction.
        run_id: The run.
        number: Of the archive.
        counted: The evaluations that count, in their order.
    """
    ordinals = {evaluation: ordinal for ordinal, evaluation in enumerate(counted, start=1)}
    after = 0
    for evaluation, event in _caused(connection, run_id, {number}):
        after = ordinals.get(evaluation, after)
        yield after, event


def read_caused(
    connection: Connection, run_id: int, numbers: Collection[int], after: int = 0
) -> dict[int, list[ArchiveEvent]]:
    """Read what entered archives of a run, by the evaluation that brought it about.

    Args:
        connection: A transaction.
        run_id: The run.
        numbers: Of the archives.
        after: Leave out events up to this one.
    """
    found: dict[int, list[ArchiveEvent]] = {}
    for evaluation_id, event in _caused(connection, run_id, numbers, after):
        found.setdefault(evaluation_id, []).append(event)
    return found


def _caused(
    connection: Connection, run_id: int, numbers: Collection[int], after: int = 0
) -> list[tuple[int, ArchiveEvent]]:
    """Return events in order, each with its evaluation."""
    rows = connection.execute(
        select(archive_events)
        .where(
            archive_events.c.run_id == run_id,
            archive_events.c.archive.in_(numbers),
            archive_events.c.id > after,
        )
        .order_by(archive_events.c.id)
    )
    events: list[tuple[int, ArchiveEvent]] = []
    for row in rows:
        if row.status == LEFT:
            cause, last = events[-1]
            events[-1] = cause, replace(last, replaced=(*last.replaced, row.replaced_id))
            continue
        event = ArchiveEvent(
            program_id=row.program_id,
            island=row.island,
            cell=row.cell,
            status=row.status,
            fitness=row.fitness,
            measures=row.measures,
            replaced=() if row.replaced_id is None else (row.replaced_id,),
            metrics=row.metrics,
            archive=row.archive,
            samples=row.samples,
        )
        events.append((row.evaluation_id, event))
    return events


def read_offers(connection: Connection, run_id: int) -> Iterator[Offer]:
    """Yield the newest score of every program that the search found, oldest first.

    A million are read so: no join for each, and the JSON of many rows is parsed in one go.
    """
    baselines = set(
        connection.scalars(select(programs.c.id).where(programs.c.run_id == run_id, ~FOUND))
    )
    newest = _judged_again(connection)
    query = (
        select(
            evaluations.c.id,
            evaluations.c.program_id,
            evaluations.c.objective,
            cast(evaluations.c.measures, Text),
            cast(evaluations.c.metrics, Text),
        )
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.objective.is_not(None),
        )
        .order_by(evaluations.c.id)
    )
    for chunk in connection.execution_options(yield_per=AT_ONCE).execute(query).partitions():
        rows = [
            row for row in chunk if row[1] not in baselines and newest.get(row[1], row[0]) == row[0]
        ]
        if rows:
            _, ids, objectives, *texts = zip(*rows, strict=True)
            yield from map(Offer, ids, objectives, *map(_parsed, texts))


def _judged_again(connection: Connection) -> dict[int, int]:
    """Return the newest search evaluation of every program that has several."""
    rows = connection.execute(
        select(evaluations.c.program_id, func.max(evaluations.c.id))
        .where(evaluations.c.stage == "search")
        .group_by(evaluations.c.program_id)
        .having(func.count() > 1)
    )
    return dict(rows.all())


def _parsed(texts: Iterable[str]) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads(f"[{','.join(texts)}]")
    return found


def newest_evaluation(connection: Connection, program_id: int) -> int:
    """Return the row of a program's newest search evaluation."""
    query = select(func.max(evaluations.c.id)).where(
        evaluations.c.program_id == program_id, evaluations.c.stage == "search"
    )
    return int(connection.scalars(query).one())
