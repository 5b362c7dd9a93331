"""Reading runs: for the command line, for pages, and for the engine's own archive.

Transactions are short and see one state of the file each. A reader never waits for a writer, and
a writer never waits for a reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Connection, select

from evolve.core.errors import StoreError
from evolve.core.evaluation import Outcome
from evolve.store import past, summaries
from evolve.store.answers import Answer, Exchange, read_answers, read_exchange
from evolve.store.archive_reader import ArchiveReader
from evolve.store.calls import Spending
from evolve.store.entries import AT_ONCE, NAMED, entries, read_entries, row_number
from evolve.store.listing import as_known, read_listed
from evolve.store.opening import open_database
from evolve.store.past import PastCalls, PastGrades, PastPace, PastYield
from evolve.store.progress import progress
from evolve.store.records import (
    Failures,
    ProgramEntry,
    ProgramRecord,
    ProgressPoint,
    RunRecord,
    Totals,
)
from evolve.store.results import read_evaluation
from evolve.store.rows import read_completions, read_program
from evolve.store.schema import evaluations, parents, programs, proposals
from evolve.store.spending import By, spending
from evolve.store.spent import Unit, rises
from evolve.store.tables import Snapshot, open_snapshot
from evolve.store.timings import Timing, read_timing


def open_reader(url: str) -> Reader:
    """Open a database that exists, for reading only; close it, or use it as a context manager.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, a plain path, or
            ``postgresql+psycopg://user@host/database``.

    Raises:
        StoreError: there is none, it is something else, or its version is another one.
    """
    return Reader(open_database(url, create=False, readonly=True))


class Reader(ArchiveReader):
    """Questions about the runs of one database. Safe to use from several threads."""

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
            query = query.where(  # a range, for the index
                programs.c.operator >= operator, programs.c.operator < operator + "\U0010ffff"
            )
        if outcome is not None:
            query = query.where(evaluations.c.outcome == outcome.value)
        query = query.order_by(programs.c.id.desc() if newest_first else programs.c.id)
        with self._database.read() as connection:
            return read_entries(connection, query.limit(limit).offset(offset))

    def leaderboard(
        self, run_id: int, limit: int | None = 10, offset: int = 0
    ) -> tuple[ProgramEntry, ...]:
        """Return the programs that the search found, best first; baselines are left out.

        Where scores vary they are the elites, by what is known of them now: among all programs the
        best first samples are lucky ones.
        """
        run = self.run(run_id)
        if run.noisy:
            return self._known_best(run)[offset:][:limit]
        objective = evaluations.c.objective
        minimize = run.objective.direction == "minimize"
        query = (
            entries(scored=True)
            .where(evaluations.c.run_id == run_id, evaluations.c.stage == "search", summaries.FOUND)
            .order_by(objective if minimize else objective.desc(), programs.c.id)
        )
        with self._database.read() as connection:
            return read_entries(connection, query.limit(limit).offset(offset))

    def _known_best(self, run: RunRecord) -> tuple[ProgramEntry, ...]:
        """Return the elites of a run whose scores vary, each with the mean of all its samples."""
        ranked = sorted(self.elites(run.id), key=lambda elite: (-elite.fitness, elite.program_id))
        ids = list(dict.fromkeys(elite.program_id for elite in ranked))
        with self._database.read() as connection:
            found = [
                entry
                for start in range(0, len(ids), AT_ONCE)
                for entry in read_listed(connection, ids[start : start + AT_ONCE])
            ]
            return as_known(connection, run, found)

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

    def snapshot(self, run_id: int, *, long: bool = True) -> AbstractContextManager[Snapshot]:
        """Return the tables of a run, to be used as a context manager.

        Args:
            run_id: The run.
            long: Whether sources, prompts, replies and feedback in full are wanted.
        """
        measures = self.run(run_id).measures
        return open_snapshot(self._database, run_id, measures, long=long)

    def timing(
        self, run_id: int, *, iteration: int | None = None, program: int | None = None
    ) -> Timing:
        """Return when an iteration, or a program that nobody proposed, was at what.

        Raises:
            StoreError: there is none.
        """
        with self._database.read() as connection:
            return read_timing(connection, run_id, iteration=iteration, program=program)

    def answers(self, run_id: int) -> Iterator[Answer]:
        """Yield what became of the proposals that asked a model, by parent and operator."""
        with self._database.read() as connection:
            yield from read_answers(connection, run_id)

    def exchange(self, call: int) -> Exchange:
        """Return what a model was asked and answered in one call."""
        with self._database.read() as connection:
            return read_exchange(connection, call)

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
        """Return the course of the best objective: one point per change, then the last one.

        Where scores vary it is that of the best elite, by all its samples up to now; it may fall.
        """
        run = self.run(run_id)
        with self._database.read() as connection:
            return progress(connection, run)

    def rises(self, run_id: int, unit: Unit) -> tuple[tuple[float, float], ...]:
        """Return what had been spent, in ``unit``, at every change of the best, and to what."""
        run = self.run(run_id)
        with self._database.read() as connection:
            return rises(connection, run, unit)

    def past_calls(self, model: str) -> PastCalls | None:
        """Return what a model's calls came to, in all runs, but for grades; None for too few."""
        with self._database.read() as connection:
            return past.past_calls(connection, model)

    def past_grades(self, evaluator: str, model: str) -> PastGrades | None:
        """Return what a model's grades came to under one evaluator; None for too few."""
        with self._database.read() as connection:
            return past.past_grades(connection, evaluator, model)

    def past_yield(self, evaluator: str, operator: str) -> PastYield | None:
        """Return what an operator's proposals came to under one evaluator; None for too few."""
        with self._database.read() as connection:
            return past.past_yield(connection, evaluator, operator)

    def past_pace(self, evaluator: str) -> PastPace | None:
        """Return how long evaluations took beside the seed program's; None for too few."""
        with self._database.read() as connection:
            return past.past_pace(connection, evaluator)

    def _find_program(
        self, connection: Connection, ref: int | str, run_id: int | None
    ) -> ProgramEntry:
        """Return the one program of that id or hash prefix."""
        scope = entries() if run_id is None else entries().where(programs.c.run_id == run_id)
        if isinstance(ref, int) or ref.isdecimal():
            found = read_entries(connection, scope.where(programs.c.id == row_number(ref)))
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
        where = self.name if run_id is None else f"{self.name}, run {run_id}"
        if not found:
            raise StoreError(
                f"{where}: no program {ref!r}; give an id or the beginning of a hash, as the "
                "tables of `evolve show` have them"
            )
        if len(found) > 1:
            named = ", ".join(f"{e.id} ({e.hash[:12]}, run {e.run_id})" for e in found)
            raise StoreError(f"{where}: {ref!r} may be any of the programs {named}; say which")
        return found[0]
