"""Questions that the map and the curves of a page ask: what entered, and what got better when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Text, cast, func, select

from evolve.core.evaluation import Outcome
from evolve.store.program_reader import ProgramReader
from evolve.store.records import ArchiveEvent, RunRecord
from evolve.store.results import LEFT
from evolve.store.schema import archive_events, evaluations, programs

#: Columns of ``archive_events`` that `CurveReader.entered` reads beside measures and metrics.
_ENTERED = (
    "id",
    "evaluation_id",
    "replaced_id",
    "status",
    "program_id",
    "island",
    "cell",
    "fitness",
    "samples",
)


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


class Mark(NamedTuple):
    """A program on held-out cases; ``evaluation`` is that on the search cases."""

    evaluation: int
    program: int
    objective: float


class CurveReader(ProgramReader):
    """Questions about the course of a run. Safe to use from several threads."""

    def entered(self, run_id: int, archive: int, after: int = 0) -> list[Change]:
        """Return what entered an archive of a run, in order.

        Args:
            run_id: The run.
            archive: Number of the archive.
            after: Only rows after this one.
        """
        table = archive_events.c
        query = (
            select(
                *(table[name] for name in _ENTERED),
                cast(table.measures, Text) + "," + cast(table.metrics, Text),
            )
            .where(table.run_id == run_id, table.archive == archive, table.id > after)
            .order_by(table.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        # One text to parse instead of thousands takes a fifth of the time.
        numbers = iter(json.loads("[" + ",".join(text for *_, text in rows) + "]"))
        changes: list[Change] = []
        for row, evaluation, replaced, status, program, island, cell, fitness, samples, _ in rows:
            measures, metrics = next(numbers), next(numbers)
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
            baselines = list(connection.scalars(self.baselines(run.id, evaluations.c.id)))
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

    def held_out_marks(self, run_id: int, most: int = 500) -> list[Mark]:
        """Return proposed programs with a score on held-out cases, in the order of the search.

        Args:
            run_id: The run.
            most: Of more than that many, the newest.
        """
        seen = evaluations.alias()
        query = (
            select(seen.c.id, evaluations.c.program_id, evaluations.c.objective)
            .join_from(evaluations, seen, seen.c.program_id == evaluations.c.program_id)
            .join(programs, programs.c.id == evaluations.c.program_id)
            .where(
                evaluations.c.run_id == run_id,
                evaluations.c.stage == "held_out",
                evaluations.c.objective.is_not(None),
                seen.c.stage == "search",
                seen.c.evaluator == evaluations.c.evaluator,
                programs.c.proposal_id.is_not(None),
            )
        )  # without an order, which would lead past the index
        with self._database.read() as connection:
            return sorted(Mark(*row) for row in connection.execute(query))[-most:]

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
                    *connection.scalars(self.baselines(run_id, evaluations.c.id)),
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

    @staticmethod
    def baselines(run_id: int, column: ColumnElement[Any]) -> Select[Any]:
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
