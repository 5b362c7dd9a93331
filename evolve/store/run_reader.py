"""An open database, and the runs in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Select, exists, select

from evolve.core.errors import StoreError
from evolve.store.constructions import Constructions
from evolve.store.controllers import ControllerRecord, read_controllers
from evolve.store.course import CourseReader
from evolve.store.database import Database
from evolve.store.entries import row_number, unknown_run
from evolve.store.inbox import Inbox
from evolve.store.instructions import InstructionBook
from evolve.store.records import RunKind, RunRecord
from evolve.store.rows import run_record
from evolve.store.schema import evaluations, runs


class RunReader(CourseReader):
    """Questions about runs as such."""

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

    @property
    def inbox(self) -> Inbox:
        """What people send to runs; posting needs a database opened for writing."""
        return Inbox(self._database, self._clock)

    @property
    def instructions(self) -> InstructionBook:
        """What models are told on how to go about it; writing needs a writable database."""
        return InstructionBook(self._database, self._clock)

    @property
    def constructions(self) -> Constructions:
        """What programs built in search mode."""
        return Constructions(self._database)

    @property
    def name(self) -> str:
        """What messages call the database: its file, or its URL without a password."""
        return self._database.name

    @property
    def folder(self) -> Path:
        """Where relative paths that belong to its runs start."""
        return self._database.folder

    def identity(self) -> Hashable | None:
        """Return what tells the database from another of the same name; None when it is gone."""
        return self._database.identity()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def runs(self) -> tuple[RunRecord, ...]:
        """Return all runs, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(runs).order_by(runs.c.id)).all()
        return tuple(run_record(row, self._clock()) for row in rows)

    def run(self, ref: int | str | None = None) -> RunRecord:
        """Return one run.

        Args:
            ref: An id, a name (the newest search of that name), or ``latest`` or None for the
                newest of all searches. A probe is found by its id alone.

        Raises:
            StoreError: there is no such run; the message lists those there are.
        """
        newest = select(runs).order_by(runs.c.id.desc()).limit(1)
        searches = newest.where(runs.c.kind == "search")
        queries: list[Select[Any]] = []
        if ref is None or ref == "latest":
            queries.append(searches)
        elif isinstance(ref, int) or ref.isdecimal():
            queries.append(newest.where(runs.c.id == row_number(ref)))
        if isinstance(ref, str):
            queries.append(searches.where(runs.c.name == ref))
        with self._database.read() as connection:
            for query in queries:
                if (row := connection.execute(query).one_or_none()) is not None:
                    return run_record(row, self._clock())
            raise StoreError(f"{self.name}: {unknown_run(connection, ref)}")

    def controllers(self, run_id: int) -> tuple[ControllerRecord, ...]:
        """Return the controllers that have shared a run, oldest first; none if it had one."""
        with self._database.read() as connection:
            return read_controllers(connection, run_id, self._clock())

    def search(self, ref: int | str | None = None) -> RunRecord:
        """Return one run as `run` does, but only if it is a search.

        Raises:
            StoreError: there is no such run, or it is a probe.
        """
        found = self.run(ref)
        if found.kind == "search":
            return found
        raise StoreError(
            f"run {found.id} is no search: it holds calls that were made to find out. "
            f"`evolve show {found.id}` says what they cost"
        )

    def unfinished_run(
        self, config_hash: str, problem_hash: str, kind: RunKind = "search"
    ) -> RunRecord | None:
        """Return the newest run of this configuration and problem that is not finished."""
        with self._database.read() as connection:
            row = connection.execute(
                select(runs)
                .where(
                    runs.c.config_hash == config_hash,
                    runs.c.problem_hash == problem_hash,
                    runs.c.status != "finished",
                    runs.c.kind == kind,
                )
                .order_by(runs.c.id.desc())
                .limit(1)
            ).one_or_none()
        return None if row is None else run_record(row, self._clock())

    def latest_run(self, config_hash: str) -> RunRecord | None:
        """Return the newest run of a configuration that has an evaluated program."""
        judged = exists().where(evaluations.c.run_id == runs.c.id)
        with self._database.read() as connection:
            row = connection.execute(
                select(runs)
                .where(runs.c.config_hash == config_hash, runs.c.kind == "search", judged)
                .order_by(runs.c.id.desc())
                .limit(1)
            ).one_or_none()
        return None if row is None else run_record(row, self._clock())
