"""Questions that pages ask: each answered by an index, whatever the size of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import case, func, literal, select

from evolve.core.evaluation import Outcome
from evolve.store.curve_reader import CurveReader
from evolve.store.database import BUSY_S
from evolve.store.entries import row_number
from evolve.store.opening import open_database
from evolve.store.program_reader import RELATIVES
from evolve.store.records import RunRecord
from evolve.store.rows import run_record
from evolve.store.schema import (
    completions,
    evaluations,
    leases,
    programs,
    proposals,
    runs,
    samples,
)


class Counts(NamedTuple):
    """How far a run has come: proposals by what became of them, evaluations by outcome."""

    proposals: Mapping[str, int]
    evaluations: Mapping[str, int]

    @property
    def evaluated(self) -> int:
        """Search evaluations in all."""
        return sum(self.evaluations.values())


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
        patience_s: Seconds to wait where another process has locked the database, or its server is
            away.

    Raises:
        StoreError: there is none, it is something else, or its version is another one.
    """
    database = open_database(url, create=False, readonly=True)
    database.wait_at_most(patience_s)
    return PageReader(database)


class PageReader(CurveReader):
    """A `Reader` that also answers in pages. Safe to use from several threads."""

    def find_run(self, run_id: int) -> RunRecord | None:
        """Return a run, or None when there is none of that number."""
        with self._database.read() as connection:
            row = connection.execute(
                select(runs).where(runs.c.id == row_number(run_id))
            ).one_or_none()
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
            for column in (proposals.c.iteration, programs.c.id, evaluations.c.id, samples.c.id)
        ]
        waiting = [
            select(func.count()).where(condition).scalar_subquery()
            for condition in (
                leases.c.run_id == run_id,
                (proposals.c.run_id == run_id) & (proposals.c.status == "open"),
                completions.c.state == "sent",
            )
        ]
        calls = select(func.max(completions.c.id)).scalar_subquery()
        standing = runs.c["status", "archive", "inserted"]
        query = select(*standing, *newest, calls, *waiting).where(runs.c.id == run_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return "-".join(str(part or 0) for part in row or ())

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
            for outcome in connection.scalars(self.baselines(run_id, evaluations.c.outcome)):
                ended[outcome] -= 1
        return Counts(dict(became), ended)

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

    def settled(self, run_id: int) -> int:
        """Return the model call up to which all calls of a run have ended; 0 without one."""
        waiting = (
            select(completions.c.id, proposals.c.run_id)
            .join(proposals, proposals.c.id == completions.c.proposal_id)
            .where(completions.c.state == "sent")  # few, whatever the run
        )
        with self._database.read() as connection:
            last = connection.scalar(select(func.max(completions.c.id)))
            mine = [call for call, run in connection.execute(waiting) if run == run_id]
        return min(mine) - 1 if mine else int(last or 0)

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
