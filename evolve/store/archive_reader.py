"""Questions about the archives of runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import func, select

from evolve.core.errors import StoreError
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Sample, Stage
from evolve.core.measures import Measure
from evolve.core.program import Program
from evolve.store.archives import (
    ArchiveRecord,
    MeasureRange,
    Offer,
    measure_ranges,
    read_archives,
    read_caused,
    read_changes,
    read_events,
    read_offers,
)
from evolve.store.entries import program_hashes
from evolve.store.facts import EvaluationFact, counted, facts, times, tried_in_vain
from evolve.store.leads import Held, Lead, leads
from evolve.store.records import ArchiveEvent, Elite, HeldOutPoint
from evolve.store.rows import read_program
from evolve.store.run_reader import RunReader
from evolve.store.sampling import (
    CaseSet,
    SampleValue,
    read_case_sets,
    read_estimates,
    read_sample,
    read_samples,
    read_values,
)
from evolve.store.schema import programs, proposals, samples
from evolve.store.summaries import held_out


class ArchiveReader(RunReader):
    """Questions about archives: what they are made from, what entered them, what they hold."""

    def archives(self, run_id: int) -> tuple[ArchiveRecord, ...]:
        """Return the archives of a run: the one it began with, then further ones."""
        with self._database.read() as connection:
            return read_archives(connection, run_id)

    def archive(self, run_id: int, ref: int | str | None = None) -> ArchiveRecord:
        """Return one archive of a run.

        Args:
            run_id: The run.
            ref: Its number or its name; None for the one that the run's search uses.

        Raises:
            StoreError: there is none of that number or name; the message lists those there are.
        """
        found = self.archives(run_id)
        if ref is None:
            return found[self.run(run_id).archive]
        for record in reversed(found):  # the newest of one name
            if ref in (record.number, str(record.number), record.name or None):
                return record
        known = ", ".join(f"{each.number} ({each.name or each.spec.kind})" for each in found)
        raise StoreError(f"run {run_id} has no archive {ref!r}; there are {known}")

    def archive_events(self, run_id: int, archive: int | None = None) -> tuple[ArchiveEvent, ...]:
        """Return every change of an archive in order; folding them gives it.

        Args:
            run_id: The run.
            archive: Its number; None for the one that the search uses.
        """
        with self._database.read() as connection:
            return read_events(connection, run_id, archive)

    def changes(self, run_id: int, archive: int) -> tuple[tuple[int, ArchiveEvent], ...]:
        """Return every change of an archive in order, each after so many evaluations of the run.

        Evaluations are the search's, without infrastructure faults; in strict order they count in
        the order of iterations.
        """
        evaluator = self.run(run_id).problem_hash
        with self._database.read() as connection:
            order = counted(connection, run_id, evaluator)
            return tuple(read_changes(connection, run_id, archive, order))

    def evaluation_times(self, run_id: int) -> dict[int, tuple[float, float]]:
        """Return running seconds of the run and seconds in the sandbox, by evaluated program.

        The first are those at the end of its evaluation, the second those it took.
        """
        evaluator = self.run(run_id).problem_hash
        with self._database.read() as connection:
            return times(connection, run_id, evaluator)

    def offers(self, run_id: int) -> Iterator[Offer]:
        """Yield the newest score of every program that the search found, oldest first."""
        with self._database.read() as connection:
            yield from read_offers(connection, run_id)

    def measure_ranges(self, run_id: int, measures: Sequence[Measure]) -> tuple[MeasureRange, ...]:
        """Return what programs of a run measured, beside the bounds of ``measures``."""
        with self._database.read() as connection:
            return measure_ranges(connection, run_id, measures) if measures else ()

    def facts(
        self, run_id: int, evaluator: str, *, scores: bool = False
    ) -> Iterator[EvaluationFact]:
        """Yield the search evaluations by one evaluator version, oldest first.

        Each comes with what it changed. Infrastructure faults and baselines are left out.

        Args:
            run_id: The run.
            evaluator: The version.
            scores: Whether measures and metrics are wanted.
        """
        numbers = {0, self.run(run_id).archive}
        with self._database.read() as connection:
            caused = read_caused(connection, run_id, numbers)
            yield from facts(connection, run_id, evaluator, caused, scores=scores)

    def samples(
        self, program_id: int, stage: Stage, evaluator: str, first: int = 0
    ) -> tuple[Sample, ...]:
        """Return samples of a program by repeat, as many as there are from ``first`` on."""
        with self._database.read() as connection:
            return read_samples(connection, program_id, stage, evaluator, first)

    def case_sets(self, run_id: int, rotate: int, most: int) -> tuple[CaseSet, ...]:
        """Return what was measured on each set of search cases, where they rotate.

        Args:
            run_id: The run.
            rotate: Iterations of an epoch.
            most: Repeats of an epoch.
        """
        with self._database.read() as connection:
            return read_case_sets(connection, run_id, rotate, most)

    def proposal_of(self, program_id: int) -> int | None:
        """Return the proposal that a program came from; None for one nobody proposed."""
        query = select(programs.c.proposal_id).where(programs.c.id == program_id)
        with self._database.read() as connection:
            found: int | None = connection.scalar(query)
        return found

    def iteration_of(self, program_id: int) -> int | None:
        """Return the iteration that a program was proposed in; None for one nobody proposed."""
        query = select(proposals.c.iteration).join(
            programs, programs.c.proposal_id == proposals.c.id
        )
        with self._database.read() as connection:
            found: int | None = connection.scalar(query.where(programs.c.id == program_id))
        return found

    def sources(self, program_id: int) -> Program:
        """Return the files of a program."""
        with self._database.read() as connection:
            return read_program(connection, program_id)

    def sample(self, program_id: int, stage: Stage, evaluator: str, repeat: int) -> Sample | None:
        """Return one sample of a program, if it was measured."""
        with self._database.read() as connection:
            return read_sample(connection, program_id, stage, evaluator, repeat)

    def samples_made(self, run_id: int) -> int:
        """Return how often programs of a run were measured on the search cases, by samples."""
        query = select(func.count()).where(samples.c.run_id == run_id, samples.c.stage == "search")
        with self._database.read() as connection:
            return int(connection.scalars(query).one())

    def sample_values(
        self, program_id: int, stage: Stage, evaluator: str, first: int = 0
    ) -> tuple[SampleValue, ...]:
        """Return the numbers of `samples`: objective, and whom it was measured beside."""
        with self._database.read() as connection:
            return read_values(connection, program_id, stage, evaluator, first)

    def estimates(
        self, run_id: int, stage: Stage = "search", only: Collection[int] | None = None
    ) -> dict[int, Estimate]:
        """Return what all samples say of the programs of a noisy run, by program.

        Args:
            run_id: The run.
            stage: Which cases.
            only: Of these programs; None for all.
        """
        with self._database.read() as connection:
            return read_estimates(connection, run_id, stage, only)

    def leads(self, run_id: int) -> tuple[Lead, ...]:
        """Return which elite was the best after how many evaluations, in order; see `changes`."""
        return tuple(leads(self.changes(run_id, self.run(run_id).archive)))

    def held_out(self, run_id: int) -> tuple[HeldOutPoint, ...]:
        """Return the programs of a search that were measured on held-out cases, oldest first."""
        with self._database.read() as connection:
            points = held_out(connection, run_id)
            known = read_estimates(connection, run_id, "search")
        return tuple(
            each
            if (of := known.get(each.program_id)) is None
            else replace(each, search=of.mean, search_error=of.error)
            for each in points
        )

    def tried_in_vain(self, run_id: int, unrelated: Collection[str]) -> Iterator[int]:
        """Yield the parent of each proposal that came to nothing for other than these reasons."""
        with self._database.read() as connection:
            yield from tried_in_vain(connection, run_id, unrelated)

    def elites(self, run_id: int, at: int | None = None) -> tuple[Elite, ...]:
        """Return the occupants of the map by island and cell.

        Args:
            run_id: The run.
            at: As the map was after that many events; None for now.
        """
        objective, held = self.run(run_id).objective, Held()
        for event in self.archive_events(run_id)[:at]:
            held.tell(event)
        return tuple(
            Elite(
                program_id=elite.program_id,
                island=elite.island,
                cell=elite.cell,
                objective=objective.fitness(elite.fitness),
                fitness=elite.fitness,
                measures=elite.measures,
            )
            for elite in held.elites()
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
