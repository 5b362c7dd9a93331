"""Writing apart from evaluations: samples, archives in strict order, and whole new archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import update

from evolve.archive.spec import ArchiveSpec
from evolve.core.evaluation import Sample
from evolve.store.archives import newest_evaluation, write_archive
from evolve.store.reader import Reader
from evolve.store.records import ArchiveEvent
from evolve.store.results import write_events
from evolve.store.sampling import write_sample
from evolve.store.schema import runs


class ArchiveWriter(Reader):
    """The part of a store that changes archives of programs evaluated before."""

    def insert(
        self, run_id: int, iteration: int, program_id: int, archive: Sequence[ArchiveEvent]
    ) -> None:
        """Commit, in strict order, what an evaluation committed before did to the map.

        Args:
            run_id: The run.
            iteration: Whose program it is; all earlier ones are in the archive.
            program_id: The program that was evaluated.
            archive: The changes, if there are any.
        """
        with self._database.write() as connection:
            judged = newest_evaluation(connection, program_id)
            write_events(connection, run_id, judged, archive)
            connection.execute(
                update(runs).where(runs.c.id == run_id).values(inserted=iteration + 1)
            )

    def add_sample(self, program_id: int, sample: Sample, elapsed_s: float) -> None:
        """Commit one measurement of a program whose score is noisy.

        Args:
            program_id: The program.
            sample: Of a repeat; where it has one of that already, which another controller
                measured, that one stays.
            elapsed_s: Running seconds of the run at this moment.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        with self._database.write() as connection:
            write_sample(connection, program_id, sample, elapsed_s, self._clock())

    def add_archive(
        self,
        run_id: int,
        spec: ArchiveSpec,
        entries: Sequence[ArchiveEvent],
        *,
        name: str = "",
        adopt: bool = False,
    ) -> int:
        """Add one more archive to a run, made from its evaluations.

        Args:
            run_id: The run.
            spec: What it is made from.
            entries: What enters it, in order.
            name: What people call it.
            adopt: Whether the run's search uses it from now on.

        Returns:
            Its number within the run.
        """
        with self._database.write() as connection:
            number = write_archive(connection, run_id, spec, name, self._clock())
            for event in entries:
                judged = newest_evaluation(connection, event.program_id)
                write_events(connection, run_id, judged, [replace(event, archive=number)])
            if adopt:
                connection.execute(update(runs).where(runs.c.id == run_id).values(archive=number))
            return number
