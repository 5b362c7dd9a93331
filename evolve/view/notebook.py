"""Runs, archives and programs for notebooks: values to work with that also show themselves.

Every look opens the database for a moment, so nothing needs closing and a run that goes on is seen
as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.archive.base import Archive
from evolve.core import html
from evolve.core.errors import StoreError
from evolve.store.opening import shown
from evolve.store.reader import Reader, open_reader
from evolve.store.records import ProgramEntry, ProgramRecord, RunRecord
from evolve.view.archive_html import archive_map
from evolve.view.report import archive_of, reported_entry

if TYPE_CHECKING:
    from ribs.archives import CVTArchive, GridArchive

#: Programs that a run shows of itself.
_TOP = 5
#: Rows that a table shows of itself.
_FIRST = 20


@dataclass(frozen=True)
class Runs:
    """The runs of a database, oldest first; ``runs[3]``, ``runs["name"]``, ``runs["latest"]``."""

    database: str = field(repr=False)  # may hold a password

    def __getitem__(self, ref: int | str) -> Run:
        with self._open() as reader:
            return Run(self.database, reader.search(ref).id)

    def __iter__(self) -> Iterator[Run]:
        with self._open() as reader:
            ids = [run.id for run in reader.runs()]
        return iter([Run(self.database, number) for number in ids])

    def __len__(self) -> int:
        with self._open() as reader:
            return len(reader.runs())

    def _open(self) -> AbstractContextManager[Reader]:
        return open_reader(self.database)

    def _repr_html_(self) -> str:
        with self._open() as reader:
            rows = [
                (
                    run.id,
                    run.problem,
                    run.name,
                    run.seed,
                    run.status,
                    sum(reader.totals(run.id).evaluations.values()),
                    None if (best := reader.best(run.id)) is None else best.objective,
                )
                for run in reader.runs()
            ]
        heads = ("id", "problem", "name", "seed", "status", "evaluations", "best")
        return html.table(shown(self.database), heads, rows)


@dataclass(frozen=True)
class Run:
    """One run of a database, by its id."""

    database: str = field(repr=False)
    id: int

    @property
    def record(self) -> RunRecord:
        """What is stored about the run: status, seed, objective, measures, configuration."""
        with open_reader(self.database) as reader:
            return reader.run(self.id)

    @property
    def best(self) -> Program:
        """The program that the run reports.

        Raises:
            StoreError: no program has a score yet.
        """
        with open_reader(self.database) as reader:
            entry = reported_entry(reader, reader.run(self.id))
        if entry is None:
            raise StoreError(f"run {self.id} has no program with a score yet")
        return self.program(entry.id)

    def program(self, ref: int | str) -> Program:
        """Return a program by its id or the beginning of its hash."""
        with open_reader(self.database) as reader:
            return Program(reader.program(ref, self.id))

    def leaderboard(self, limit: int | None = 10) -> tuple[ProgramEntry, ...]:
        """Return the best programs, best first."""
        with open_reader(self.database) as reader:
            return reader.leaderboard(self.id, limit)

    def archive(self, ref: int | str | None = None, island: int | None = None) -> Map:
        """Return an archive: the map as it is now.

        Args:
            ref: Its number or name; None for the one that the search uses.
            island: Of one island; None for that of the whole run.
        """
        with open_reader(self.database) as reader:
            run = reader.run(self.id)
            return Map(run, archive_of(reader, run, island=island, ref=ref))

    def columns(self, table: str = "programs", *, long: bool = False) -> Columns:
        """Return a table of the run by columns, as ``pandas.DataFrame`` takes them.

        Args:
            table: One of those that `evolve export` writes: ``programs``, ``evaluations``,
                ``cases``, ``proposals``, ``calls``, ``archive_events`` and so on.
            long: With the columns that hold texts of any length.

        Raises:
            StoreError: there is no such table; the message lists those there are.
        """
        with (
            open_reader(self.database) as reader,
            reader.snapshot(self.id, long=long or table == "files") as snapshot,
        ):
            named = {each.name: each for each in snapshot.tables}
            if table not in named:
                raise StoreError(f"there is no table {table!r}; there are {', '.join(named)}")
            names = [column.name for column in named[table].columns]
            values: list[list[object]] = [[] for _ in names]
            for row in snapshot.rows(named[table]):
                for column, value in zip(values, row, strict=True):
                    column.append(value)
        return Columns(table, dict(zip(names, values, strict=True)))

    def to_ribs(
        self, ref: int | str | None = None, island: int | None = None
    ) -> GridArchive | CVTArchive:
        """Return an archive as one of pyribs; see `evolve.view.ribs.to_ribs`."""
        from evolve.view.ribs import to_ribs

        with open_reader(self.database) as reader:
            return to_ribs(reader, reader.run(self.id), ref, island)

    def _repr_html_(self) -> str:
        run, top = self.record, self.leaderboard(_TOP)
        facts = [
            ("status", f"{run.status}{', live' if run.live else ''}"),
            ("reason", run.reason),
            ("seed", run.seed),
            ("objective", f"{run.objective.direction} {run.objective.name}"),
        ]
        rows = [(e.id, e.objective, e.operator, e.generation, e.summary) for e in top]
        heads = ("program", run.objective.name, "operator", "generation", "summary")
        return html.block(
            html.heading(f"run {run.id} ({run.name}): {run.problem}"),
            html.facts(facts),
            self.archive()._repr_html_(),
            html.table("best programs", heads, rows),
        )


class Columns(Mapping[str, list[object]]):
    """A table by columns, in their order; ``pandas.DataFrame(columns)`` makes a frame of it."""

    def __init__(self, name: str, columns: dict[str, list[object]]) -> None:
        self.name, self._columns = name, columns

    def __getitem__(self, name: str) -> list[object]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Columns({self.name!r}, {self.rows} rows: {', '.join(self)})"

    @property
    def rows(self) -> int:
        """How many values every column has."""
        return len(next(iter(self._columns.values()), []))

    def _repr_html_(self) -> str:
        first = list(zip(*(column[:_FIRST] for column in self._columns.values()), strict=True))
        return html.table(f"{self.name}: {len(first)} of {self.rows} rows", tuple(self), first)


@dataclass(frozen=True)
class Map:
    """An archive of a run, as it was when it was read.

    Attributes:
        run: The run.
        archive: The archive itself; keys of its elites are ids of programs.
    """

    run: RunRecord = field(repr=False)
    archive: Archive

    def _repr_html_(self) -> str:
        return archive_map(self.archive, self.run.objective)


@dataclass(frozen=True)
class Program:
    """A program with all that is known about it.

    Attributes:
        record: Its evaluations, lineage and model calls.
    """

    record: ProgramRecord = field(repr=False)

    @property
    def id(self) -> int:
        """Its number in the database."""
        return self.record.entry.id

    @property
    def objective(self) -> float | None:
        """Its objective on the search cases; None without a score."""
        return self.record.entry.objective

    @property
    def measures(self) -> Mapping[str, float]:
        """What it measured, by name."""
        return self.record.entry.measures

    @property
    def files(self) -> Mapping[str, str]:
        """Its sources by path."""
        return self.record.program.files

    def _repr_html_(self) -> str:
        entry = self.record.entry
        measured = ", ".join(f"{name} {value:.6g}" for name, value in entry.measures.items())
        facts = [
            ("objective", entry.objective),
            ("outcome", "" if entry.outcome is None else str(entry.outcome)),
            ("measures", measured),
            ("operator", f"{entry.operator}: {entry.summary}" if entry.summary else entry.operator),
            ("parents", ", ".join(map(str, entry.parents))),
            ("feedback", entry.message),
        ]
        return html.block(
            html.heading(f"program {entry.id} of run {entry.run_id}"),
            html.facts(facts),
            *(html.source(path, text) for path, text in self.files.items()),
        )


def load(database: str = "evolve.db") -> Runs:
    """Return the runs of a database, for a notebook.

    Args:
        database: A URL, or the path of an SQLite file.

    Raises:
        StoreError: there is none, it is something else, or its version is another one.
    """
    open_reader(database).close()
    return Runs(database)
