"""Programs of a run a page at a time: filtered, ordered, and resumed from where a page ended.

A page begins after a key, not after so many rows, so that the last page costs what the first does.
Every function is one step of a caller's transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    func,
    literal,
    select,
    tuple_,
)

from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.store.entries import entries, read_entries, with_newest_evaluation
from evolve.store.records import ProgramEntry, RunRecord
from evolve.store.sampling import read_estimates
from evolve.store.schema import evaluations, programs, samples

#: How a list of programs may be ordered; ``best`` follows the objective's direction.
Order: TypeAlias = Literal["newest", "oldest", "best", "worst", "deepest"]
#: Matches are counted up to here; a page says "more than" beyond.
COUNTED = 100_000
#: So few matching programs are sorted; of more, some are soon met in the order of an index.
SORTED = 10_000
_HASH = re.compile("[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which programs of a run are listed.

    Attributes:
        text: Part of the summary, or the beginning of the hash, four digits at least;
            empty for any.
        operator: Name of the operator; empty for any.
        outcome: Of the newest search evaluation; None for any.
        island: None for any.
    """

    text: str = ""
    operator: str = ""
    outcome: Outcome | None = None
    island: int | None = None


class Key(NamedTuple):
    """A place in an order: the ordered value and the row that has it."""

    value: float
    row: int


class Page(NamedTuple):
    """Programs in their order; ``before`` and ``after`` are the keys of further pages, or None."""

    programs: tuple[ProgramEntry, ...]
    before: Key | None
    after: Key | None


def read_page(  # noqa: PLR0913 - what, in which order, from where
    connection: Connection,
    run: RunRecord,
    wanted: Wanted,
    order: Order,
    size: int,
    start: Key | None = None,
    *,
    back: bool = False,
    matching: int | None = None,
) -> Page:
    """Read one page of programs.

    Where scores vary a program's objective is the mean of all its samples, in the order too.

    Args:
        connection: Of the caller's transaction.
        run: The run.
        wanted: Which programs.
        order: In which order.
        minimize: Whether a smaller objective is the better one.
        size: At most so many.
        start: Key that the page begins after; None for the first page.
        back: Whether the page ends before ``start`` instead.
        matching: What `count_matching` said, if it was asked: then they are not counted again.
    """
    value, row, descending = _ordered_by(order, wanted, run.objective)
    scored = order in ("best", "worst")
    few = scored and _are_few(connection, run.id, wanted, matching)
    query = _matching(run.id, wanted, scored=scored, few=few)
    if scored and run.noisy:
        pooled = _pooled(run.id)
        query = query.outerjoin(pooled, pooled.c.program_id == programs.c.id)
        value = func.coalesce(pooled.c.mean, value)
    query = query.add_columns(
        programs.c.id.label("program"), value.label("value"), row.label("row")
    )
    downwards = descending is not back
    if start is not None:
        here, there = tuple_(value, row), tuple_(literal(start.value), literal(start.row))
        query = query.where(here < there if downwards else here > there)
    columns = [value, row] if value is not row else [row]
    query = query.order_by(*(column.desc() if downwards else column for column in columns))
    found = list(connection.execute(query.limit(size + 1)))
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    if not found:
        return Page((), None, None)
    keys = Key(found[0].value, found[0].row), Key(found[-1].value, found[-1].row)
    listed = read_listed(connection, [each.program for each in found])
    return Page(
        as_known(connection, run, listed),
        keys[0] if (more if back else start is not None) else None,
        keys[1] if (back or more) else None,
    )


def as_known(
    connection: Connection, run: RunRecord, listed: Sequence[ProgramEntry]
) -> tuple[ProgramEntry, ...]:
    """Return programs with what all their samples say, where scores vary."""
    if not run.noisy:
        return tuple(listed)
    known = read_estimates(connection, run.id, "search", [entry.id for entry in listed])
    return tuple(
        entry
        if (of := known.get(entry.id)) is None or entry.objective is None
        else replace(entry, objective=of.mean, error=of.error, samples=of.n)
        for entry in listed
    )


def _pooled(run_id: int) -> Subquery:
    """Select the mean of all samples of each program on the search cases."""
    return (
        select(samples.c.program_id, func.avg(samples.c.objective).label("mean"))
        .where(
            samples.c.run_id == run_id,
            samples.c.stage == "search",
            samples.c.objective.is_not(None),
        )
        .group_by(samples.c.program_id)
        .subquery("pooled")
    )


def read_listed(connection: Connection, ids: list[int]) -> tuple[ProgramEntry, ...]:
    """Read programs in the order of ``ids``; those that are not there are left out."""
    found = read_entries(connection, entries().where(programs.c.id.in_(ids)))
    known = {entry.id: entry for entry in found}
    return tuple(known[number] for number in ids if number in known)


def count_matching(connection: Connection, run_id: int, wanted: Wanted) -> int:
    """Return how many programs match, `COUNTED` + 1 when there are more than `COUNTED`."""
    if wanted == Wanted():
        query: Select[Any] = select(func.count()).where(programs.c.run_id == run_id)
    elif wanted == Wanted(outcome=wanted.outcome):
        query = select(func.count()).where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.outcome == wanted.outcome,
        )
    else:
        matching = _matching(run_id, wanted, scored=False).add_columns(literal(1))
        query = select(func.count()).select_from(matching.limit(COUNTED + 1).subquery())
    return int(connection.scalars(query).one())


def _ordered_by(
    order: Order, wanted: Wanted, objective: Objective
) -> tuple[ColumnElement[Any], ColumnElement[int], bool]:
    """Return the ordered column, the one that tells equals apart, and whether it descends."""
    if order in ("best", "worst"):
        return (
            evaluations.c.objective,
            evaluations.c.id,
            (order == "best") is not (objective.direction == "minimize"),
        )
    if order == "deepest":
        return programs.c.generation, programs.c.id, True
    column = programs.c.id if wanted.outcome is None else evaluations.c.id
    return column, column, order == "newest"


def _are_few(connection: Connection, run_id: int, wanted: Wanted, counted: int | None) -> bool:
    """Return whether what is asked of programs alone leaves so few that sorting them is quick."""
    alone = replace(wanted, outcome=None)
    if alone == Wanted():
        return False
    if counted is not None and alone == wanted:
        return counted <= SORTED
    matching = _matching(run_id, alone, scored=False).add_columns(literal(1))
    count = select(func.count()).select_from(matching.limit(SORTED + 1).subquery())
    return connection.scalars(count).one() <= SORTED


def _matching(run_id: int, wanted: Wanted, *, scored: bool, few: bool = False) -> Select[Any]:
    """Select from the programs wanted, with their newest search evaluation where it matters."""
    query = select().where(programs.c.run_id == run_id)
    if scored or wanted.outcome is not None:
        query = query.select_from(with_newest_evaluation(isouter=False)).where(
            evaluations.c.stage == "search"
        )
        if not few:  # else the evaluations are found from their programs
            query = query.where(evaluations.c.run_id == run_id)
        if scored:
            query = query.where(evaluations.c.objective.is_not(None))
        if wanted.outcome is not None:
            query = query.where(evaluations.c.outcome == wanted.outcome.value)
    else:
        query = query.select_from(programs)
    if wanted.operator:
        query = query.where(programs.c.operator == wanted.operator)
    if wanted.island is not None:
        query = query.where(programs.c.island == wanted.island)
    if wanted.text:
        alike = programs.c.summary.icontains(wanted.text, autoescape=True)
        prefix = wanted.text.lower()
        if _HASH.fullmatch(prefix):
            alike |= and_(programs.c.hash >= prefix, programs.c.hash < prefix + "g")
        query = query.where(alike)
    return query
