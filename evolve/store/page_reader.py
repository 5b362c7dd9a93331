"""Questions that pages ask: each answered by an index, whatever the size of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, literal, select

from evolve.core.evaluation import Outcome
from evolve.store.database import BUSY_S, open_database
from evolve.store.program_reader import RELATIVES, ProgramReader
from evolve.store.records import ArchiveEvent, RunRecord
from evolve.store.results import LEFT
from evolve.store.rows import run_record
from evolve.store.schema import (
    completions,
    evaluations,
    leases,
    programs,
    proposals,
    runs,
)


class Counts(NamedTuple):
    """How far a run has come: proposals by what became of them, evaluations by outcome."""

    proposals: Mapping[str, int]
    evaluations: Mapping[str, int]

    @property
    def evaluated(self) -> int:
        """Search evaluations in all."""
        return sum(self.evaluations.values())


class Change(NamedTuple):
    """An archive event with its row, and the evaluation that caused it."""

    row: int
    evaluation: int
    event: ArchiveEvent


class Improvement(NamedTuple):
    """An evaluation that was better than all before it."""

    evaluation: int
    program: int
    objective: float
    elapsed_s: float


class Cost(NamedTuple):
    """Model calls: how many, what they cost, and how many have ended without a known price."""

    calls: int
    usd: float
    unpriced: int

    def plus(self, other: Cost) -> Cost:
        """Return both together."""
        return Cost(self.calls + other.calls, self.usd + other.usd, self.unpriced + other.unpriced)


class InFlight(NamedTuple):
    """Something a run waits for: the program on a slot, or a model's reply."""

    program: int | None
    operator: str
    model: str
    since: float


class Cause(NamedTuple):
    """One failure: what failed, how, why in the words of its message, and where to look."""

    what: str
    kind: str
    message: str
    program: int | None


def open_page_reader(url: str, patience_s: float = BUSY_S) -> PageReader:
    """Open a database that exists, for reading only.

    Args:
        url: As for `evolve.store.reader.open_reader`.
        patience_s: Seconds to wait where another process has locked the file.

    Raises:
        StoreError: there is none, it is something else, or its version is another one.
    """
    database = open_database(url, create=False, readonly=True)
    database.wait_at_most(patience_s)
    return PageReader(database)


class PageReader(ProgramReader):
    """A `Reader` that also answers in pages. Safe to use from several threads."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def find_run(self, run_id: int) -> RunRecord | None:
        """Return a run, or None when there is none of that number."""
        with self._database.read() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
        return None if row is None else run_record(row, self._clock())

    def run_page(self, size: int, before: int | None = None) -> tuple[RunRecord, ...]:
        """Return runs, newest first.

        Args:
            size: How many at most.
            before: Only runs older than this one.
        """
        query = select(runs).order_by(runs.c.id.desc()).limit(size)
        if before is not None:
            query = query.where(runs.c.id < before)
        with self._database.read() as connection:
            return tuple(run_record(row, self._clock()) for row in connection.execute(query))

    def stamp(self, run_id: int) -> str:
        """Return a text that changes whenever something of a run does; cheap to ask for."""
        newest = [
            select(func.max(column)).where(column.table.c.run_id == run_id).scalar_subquery()
            for column in (proposals.c.iteration, programs.c.id, evaluations.c.id)
        ]
        with self._database.read() as connection:
            row = connection.execute(
                select(runs.c.status, runs.c.archive, *newest).where(runs.c.id == run_id)
            ).one_or_none()
            calls = connection.scalar(select(func.max(completions.c.id)))
            running = connection.scalar(
                select(func.count()).select_from(leases).where(leases.c.run_id == run_id)
            )
        return "-".join(str(part or 0) for part in (*(row or ()), calls, running))

    def counts(self, run_id: int) -> Counts:
        """Return how many proposals and search evaluations a run has, by what became of them."""
        mine = proposals.c.run_id == run_id
        with self._database.read() as connection:
            became = connection.execute(
                select(proposals.c.status, func.count()).where(mine).group_by(proposals.c.status)
            ).all()
            outcomes = connection.execute(
                select(evaluations.c.outcome, func.count())
                .where(evaluations.c.run_id == run_id, evaluations.c.stage == "search")
                .group_by(evaluations.c.outcome)
            ).all()
            ended: dict[str, int] = dict(outcomes)
            for outcome in connection.scalars(self._baselines(run_id, evaluations.c.outcome)):
                ended[outcome] -= 1
        return Counts(dict(became), ended)

    def entered(self, run_id: int, archive: int, after: int = 0) -> list[Change]:
        """Return what entered an archive of a run, in order.

        Args:
            run_id: The run.
            archive: Number of the archive.
            after: Only rows after this one.
        """
        columns = (
            "id, evaluation_id, replaced_id, status, program_id, island, cell, fitness, samples, "
            "'[' || measures || ',' || metrics || ']'"
        )
        with self._database.read() as connection:
            rows = connection.exec_driver_sql(
                f"SELECT {columns} FROM archive_events"  # noqa: S608 - a constant
                " WHERE run_id = ? AND archive = ? AND id > ? ORDER BY id",
                (run_id, archive, after),
            ).fetchall()
        # One text to parse instead of thousands takes a fifth of the time.
        numbers = iter(json.loads("[" + ",".join(text for *_, text in rows) + "]"))
        changes: list[Change] = []
        for row, evaluation, replaced, status, program, island, cell, fitness, samples, _ in rows:
            measures, metrics = next(numbers)
            if status == LEFT:
                last = changes[-1].event
                event = replace(last, replaced=(*last.replaced, replaced))
                changes[-1] = changes[-1]._replace(row=row, event=event)
                continue
            event = ArchiveEvent(
                program_id=program,
                island=island,
                cell=cell,
                status=status,
                fitness=fitness,
                measures=measures,
                replaced=() if replaced is None else (replaced,),
                metrics=metrics,
                archive=archive,
                samples=samples,
            )
            changes.append(Change(row, evaluation, event))
        return changes

    def improvements(self, run: RunRecord, most: int = 500) -> list[Improvement]:
        """Return the search evaluations that were better than all before them, oldest first.

        It looks backwards from the best one along the index on objectives, so the cost is that of
        reading the index once, however many there are. Of more than ``most`` the newest are given.
        """
        minimize = run.objective.direction == "minimize"
        best = func.min if minimize else func.max
        value = evaluations.c.objective
        found: list[Improvement] = []
        with self._database.read() as connection:
            baselines = list(connection.scalars(self._baselines(run.id, evaluations.c.id)))
            mine = (
                (evaluations.c.run_id == run.id)
                & (evaluations.c.stage == "search")
                & evaluations.c.id.not_in(baselines)
            )
            worse: ColumnElement[bool] = value.is_not(None)
            while len(found) < most:
                reached = connection.scalar(select(best(value)).where(mine, worse))
                if reached is None:
                    break
                row = connection.execute(
                    select(
                        evaluations.c.id,
                        evaluations.c.program_id,
                        evaluations.c.objective,
                        evaluations.c.elapsed_s,
                    )
                    .where(mine, value == reached)
                    .order_by(evaluations.c.id)
                    .limit(1)
                ).one()
                found.append(Improvement(*row))
                beyond = value > reached if minimize else value < reached
                worse = beyond & (evaluations.c.id < row.id)
        return found[::-1]

    def ordinals(self, run_id: int, rows: Sequence[int]) -> dict[int, int]:
        """Return how many search evaluations a run had when each of these was committed.

        Args:
            run_id: The run.
            rows: Rows of ``evaluations``.
        """
        ordered = sorted(set(rows))
        mine = evaluations.c.run_id == run_id
        with self._database.read() as connection:
            others = sorted(
                {
                    *connection.scalars(self._baselines(run_id, evaluations.c.id)),
                    *connection.scalars(
                        select(evaluations.c.id).where(mine, evaluations.c.stage == "held_out")
                    ),
                    *connection.scalars(
                        select(evaluations.c.id).where(
                            mine,
                            evaluations.c.stage == "search",
                            evaluations.c.outcome == Outcome.INFRASTRUCTURE.value,
                        )
                    ),
                }
            )
            counted, before, found = 0, 0, {}
            for row in ordered:
                counted += connection.scalars(
                    select(func.count()).where(
                        mine, evaluations.c.id > before, evaluations.c.id <= row
                    )
                ).one()
                counted -= sum(before < other <= row for other in others)
                before, found[row] = row, counted
        return found

    def latest(self, run_id: int) -> tuple[int, float]:
        """Return the newest evaluation's row and the running seconds at it; zeros without one."""
        newest = select(func.max(evaluations.c.id)).where(evaluations.c.run_id == run_id)
        with self._database.read() as connection:
            row = connection.execute(
                select(evaluations.c.id, evaluations.c.elapsed_s).where(
                    evaluations.c.id == newest.scalar_subquery()
                )
            ).one_or_none()
        return (0, 0.0) if row is None else (row.id, row.elapsed_s)

    def in_flight(self, run_id: int) -> tuple[InFlight, ...]:
        """Return what a run is waiting for, the longest waited for first."""
        evaluating = (
            select(leases.c.program_id, programs.c.operator, literal(""), leases.c.leased_at)
            .join(programs, programs.c.id == leases.c.program_id)
            .where(leases.c.run_id == run_id)
        )
        open_ones = select(
            literal(None), proposals.c.operator, proposals.c.model, proposals.c.created_at
        ).where(proposals.c.run_id == run_id, proposals.c.status == "open")
        with self._database.read() as connection:
            found = [
                InFlight(*row)
                for query in (evaluating, open_ones)
                for row in connection.execute(query.limit(RELATIVES))
            ]
        return tuple(sorted(found, key=lambda each: each.since))

    def causes(self, run_id: int, most: int = 500) -> list[Cause]:
        """Return the newest failures of every kind, at most ``most`` of each kind."""
        failed = [outcome.value for outcome in Outcome if outcome is not Outcome.OK]
        evaluation = (
            select(
                literal("evaluation"),
                evaluations.c.outcome,
                evaluations.c.message,
                evaluations.c.program_id,
            )
            .where(evaluations.c.run_id == run_id, evaluations.c.stage == "search")
            .order_by(evaluations.c.id.desc())
            .limit(most)
        )
        proposal = (
            select(literal("proposal"), proposals.c.reason, proposals.c.message, literal(None))
            .where(proposals.c.run_id == run_id, proposals.c.status == "rejected")
            .order_by(proposals.c.id.desc())
            .limit(most)
        )
        call = (
            select(literal("model call"), completions.c.state, completions.c.error, programs.c.id)
            .select_from(completions.join(proposals))
            .outerjoin(programs, programs.c.proposal_id == proposals.c.id)
            .where(proposals.c.run_id == run_id, completions.c.state.in_(["failed", "unknown"]))
            .order_by(completions.c.id.desc())
            .limit(most)
        )
        with self._database.read() as connection:
            reasons = connection.scalars(
                select(proposals.c.reason)
                .where(proposals.c.run_id == run_id, proposals.c.status == "rejected")
                .distinct()
            ).all()
            queries = [evaluation.where(evaluations.c.outcome == each) for each in failed]
            queries += [proposal.where(proposals.c.reason == each) for each in reasons]
            return [
                Cause(*row) for query in (*queries, call) for row in connection.execute(query).all()
            ]

    def settled(self) -> int:
        """Return the model call up to which all calls of the database have ended; 0 without one."""
        waiting = select(func.min(completions.c.id)).where(completions.c.state == "sent")
        with self._database.read() as connection:
            first = connection.scalar(waiting)
            last = connection.scalar(select(func.max(completions.c.id)))
        return int(last or 0) if first is None else first - 1

    def cost(self, run_id: int, after: int = 0, until: int | None = None) -> Cost:
        """Return what model calls of a run cost.

        Args:
            run_id: The run.
            after: Only calls after this one.
            until: Only calls up to this one; None for all.
        """
        unpriced = case(
            (completions.c.cost_usd.is_(None) & (completions.c.state != "sent"), 1), else_=0
        )
        query = (
            select(
                func.count(),
                func.coalesce(func.sum(completions.c.cost_usd), 0.0),
                func.coalesce(func.sum(unpriced), 0),
            )
            .select_from(completions.join(proposals))
            .where(proposals.c.run_id == run_id, completions.c.id > after)
        )
        if until is not None:
            query = query.where(completions.c.id <= until)
        with self._database.read() as connection:
            if not connection.scalar(select(func.max(completions.c.id) > after)):
                return Cost(0, 0.0, 0)
            return Cost(*connection.execute(query).one())

    @staticmethod
    def _baselines(run_id: int, column: ColumnElement[Any]) -> Select[Any]:
        """Select a column of the search evaluations of baselines, found by an index."""
        return (
            select(column)
            .select_from(evaluations.join(programs, programs.c.id == evaluations.c.program_id))
            .where(
                programs.c.run_id == run_id,
                programs.c.proposal_id.is_(None),
                programs.c.operator.startswith("baseline:"),
                evaluations.c.stage == "search",
            )
        )
