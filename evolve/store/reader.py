"""Reading runs: for the command line, for pages, and for the engine's own archive.

Transactions are short and see one state of the file each. A reader never waits for a writer, and
a writer never waits for a reader.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Select, select

from evolve.core.errors import StoreError
from evolve.core.evaluation import Outcome
from evolve.store import summaries
from evolve.store.calls import Spending
from evolve.store.course import CourseReader
from evolve.store.database import Database, open_database
from evolve.store.entries import NAMED, entries, program_hashes, read_entries, unknown_run
from evolve.store.facts import EvaluationFact, facts, standing
from evolve.store.records import (
    ArchiveEvent,
    Elite,
    Failures,
    ProgramEntry,
    ProgramRecord,
    ProgressPoint,
    RunRecord,
    Totals,
)
from evolve.store.results import read_evaluation
from evolve.store.rows import read_completions, read_program, run_record
from evolve.store.schema import archive_events, evaluations, parents, programs, proposals, runs
from evolve.store.spending import By, spending


def open_reader(url: str) -> Reader:
    """Open a database that exists, for reading only; close it, or use it as a context manager.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or a plain path.

    Raises:
        StoreError: there is none, it is something else, or its version is another one.
    """
    return Reader(open_database(url, create=False, readonly=True))


class Reader(CourseReader):
    """Questions about the runs of one database. Safe to use from several threads."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def runs(self) -> tuple[RunRecord, ...]:
        """Return all runs, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(runs).order_by(runs.c.id)).all()
        return tuple(run_record(row, self._clock()) for row in rows)

    def run(self, ref: int | str | None = None) -> RunRecord:
        """Return one run.

        Args:
            ref: An id, a name (the newest run of that name), or ``latest`` or None for the newest
                of all.

        Raises:
            StoreError: there is no such run; the message lists those there are.
        """
        newest = select(runs).order_by(runs.c.id.desc()).limit(1)
        queries: list[Select[Any]] = []
        if ref is None or ref == "latest":
            queries.append(newest)
        elif isinstance(ref, int) or ref.isdecimal():
            queries.append(newest.where(runs.c.id == int(ref)))
        if isinstance(ref, str):
            queries.append(newest.where(runs.c.name == ref))
        with self._database.read() as connection:
            for query in queries:
                if (row := connection.execute(query).one_or_none()) is not None:
                    return run_record(row, self._clock())
            raise StoreError(f"{self._database.path}: {unknown_run(connection, ref)}")

    def programs(
        self,
        run_id: int,
        *,
        newest_first: bool = False,
        operator: str = "",
        outcome: Outcome | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[ProgramEntry, ...]:
        """Return programs of a run in the order they were made.

        Args:
            run_id: The run.
            newest_first: Reverse the order.
            operator: Only operators whose name starts so; ``baseline:`` gives the baselines.
            outcome: Only programs whose newest search evaluation ended so.
            limit: How many at most.
            offset: How many to leave out first.
        """
        query = entries().where(programs.c.run_id == run_id)
        if operator:
            query = query.where(programs.c.operator.startswith(operator, autoescape=True))
        if outcome is not None:
            query = query.where(evaluations.c.outcome == outcome.value)
        query = query.order_by(programs.c.id.desc() if newest_first else programs.c.id)
        with self._database.read() as connection:
            return read_entries(connection, query.limit(limit).offset(offset))

    def leaderboard(
        self, run_id: int, limit: int | None = 10, offset: int = 0
    ) -> tuple[ProgramEntry, ...]:
        """Return the programs that the search found, best first; baselines are left out."""
        objective = evaluations.c.objective
        minimize = self.run(run_id).objective.direction == "minimize"
        query = (
            entries(scored=True)
            .where(evaluations.c.run_id == run_id, evaluations.c.stage == "search", summaries.FOUND)
            .order_by(objective if minimize else objective.desc(), programs.c.id)
        )
        with self._database.read() as connection:
            return read_entries(connection, query.limit(limit).offset(offset))

    def best(self, run_id: int) -> ProgramEntry | None:
        """Return the best program that the search found, or None."""
        return next(iter(self.leaderboard(run_id, limit=1)), None)

    def program(self, ref: int | str, run_id: int | None = None) -> ProgramRecord:
        """Return everything about one program.

        Args:
            ref: Its id, or the beginning of its hash.
            run_id: Look in this run only.

        Raises:
            StoreError: no program, or several, are called so.
        """
        with self._database.read() as connection:
            entry = self._find_program(connection, ref, run_id)
            rows = connection.execute(
                select(evaluations)
                .where(evaluations.c.program_id == entry.id)
                .order_by(evaluations.c.id)
            ).all()
            proposal = connection.execute(
                select(proposals.c.id, proposals.c.inspirations)
                .join(programs, programs.c.proposal_id == proposals.c.id)
                .where(programs.c.id == entry.id)
            ).one_or_none()
            return ProgramRecord(
                entry=entry,
                program=read_program(connection, entry.id),
                evaluations=tuple(read_evaluation(connection, row) for row in rows),
                inspirations=tuple(proposal.inspirations) if proposal else (),
                completions=read_completions(connection, proposal.id) if proposal else (),
            )

    def lineage(self, program_id: int) -> tuple[ProgramEntry, ...]:
        """Return a program and all its ancestors, each after every one of its descendants."""
        line = select(programs.c.id).where(programs.c.id == program_id).cte("line", recursive=True)
        line = line.union(select(parents.c.parent_id).join(line, parents.c.program_id == line.c.id))
        query = entries().where(programs.c.id.in_(select(line.c.id)))
        with self._database.read() as connection:
            return read_entries(
                connection, query.order_by(programs.c.generation.desc(), programs.c.id.desc())
            )

    def archive_events(self, run_id: int) -> tuple[ArchiveEvent, ...]:
        """Return every change of the map in order; folding them gives the archive."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(archive_events)
                .where(archive_events.c.run_id == run_id)
                .order_by(archive_events.c.id)
            ).all()
        return tuple(
            ArchiveEvent(
                program_id=row.program_id,
                island=row.island,
                cell=row.cell,
                status=row.status,
                fitness=row.fitness,
                measures=row.measures,
                replaced=row.replaced_id,
            )
            for row in rows
        )

    def facts(self, run_id: int, evaluator: str) -> Iterator[EvaluationFact]:
        """Yield the search evaluations by one evaluator version, oldest first.

        Each comes with what it changed. Infrastructure faults and baselines are left out.
        """
        events = self.archive_events(run_id)
        with self._database.read() as connection:
            yield from facts(connection, run_id, evaluator, events)

    def elites(self, run_id: int, at: int | None = None) -> tuple[Elite, ...]:
        """Return the occupants of the map by island and cell.

        Args:
            run_id: The run.
            at: As the map was after that many events; None for now.
        """
        objective = self.run(run_id).objective
        return tuple(
            Elite(
                program_id=elite.program_id,
                island=elite.island,
                cell=elite.cell,
                objective=objective.fitness(elite.fitness),
                fitness=elite.fitness,
                measures=elite.measures,
            )
            for elite in standing(self.archive_events(run_id)[:at])
        )

    def archive_digest(self, run_id: int) -> str:
        """Return the SHA-256 of what the map holds: equal maps have equal digests.

        It covers every elite's island, cell, sources, objective and measures, to the last bit, and
        nothing that differs between two runs of one course: no row numbers, no times.
        """
        elites = self.elites(run_id)
        with self._database.read() as connection:
            hashes = program_hashes(connection, [elite.program_id for elite in elites])
        lines = sorted(
            json.dumps(
                [e.island, e.cell, hashes[e.program_id], e.objective, sorted(e.measures.items())]
            )
            for e in elites
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def evaluations_by_island(self, run_id: int) -> dict[int, int]:
        """Return how many search evaluations were for each island, the seed program's included."""
        with self._database.read() as connection:
            return summaries.evaluations_by_island(connection, run_id)

    def totals(self, run_id: int) -> Totals:
        """Return the counters of a run.

        Raises:
            StoreError: there is no such run.
        """
        run = self.run(run_id)
        with self._database.read() as connection:
            return summaries.totals(connection, run)

    def spending(self, run_id: int, by: By) -> tuple[Spending, ...]:
        """Return what model calls cost, grouped, dearest first, and what came of them."""
        with self._database.read() as connection:
            return spending(connection, run_id, by)

    def failures(self, run_id: int) -> tuple[Failures, ...]:
        """Return how proposals, evaluations and model calls failed, most frequent first."""
        with self._database.read() as connection:
            return summaries.failures(connection, run_id)

    def progress(self, run_id: int) -> tuple[ProgressPoint, ...]:
        """Return the course of the best objective: one point per improvement, then the last one."""
        objective = self.run(run_id).objective
        with self._database.read() as connection:
            return summaries.progress(connection, run_id, objective)

    def _find_program(
        self, connection: Connection, ref: int | str, run_id: int | None
    ) -> ProgramEntry:
        """Return the one program of that id or hash prefix."""
        scope = entries() if run_id is None else entries().where(programs.c.run_id == run_id)
        if isinstance(ref, int) or ref.isdecimal():
            found = read_entries(connection, scope.where(programs.c.id == int(ref)))
            if found:
                return found[0]
        found = ()
        if isinstance(ref, str):
            prefix = ref.lower()
            found = read_entries(
                connection,
                scope.where(programs.c.hash >= prefix, programs.c.hash < prefix + "g")
                .order_by(programs.c.id.desc())
                .limit(NAMED),
            )
        where = self._database.path if run_id is None else f"{self._database.path}, run {run_id}"
        if not found:
            raise StoreError(
                f"{where}: no program {ref!r}; give an id or the beginning of a hash, as the "
                "tables of `evolve show` have them"
            )
        if len(found) > 1:
            named = ", ".join(f"{e.id} ({e.hash[:12]}, run {e.run_id})" for e in found)
            raise StoreError(f"{where}: {ref!r} may be any of the programs {named}; say which")
        return found[0]
