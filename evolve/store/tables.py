"""A run as flat tables, for exports: every column with its kind and its meaning.

Rows are read as they are asked for, so a table of any length takes little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import JSON, Connection, Float, Integer, LargeBinary, Select
from sqlalchemy.types import TypeEngine

from evolve.core.measures import Measure
from evolve.store.database import Database
from evolve.store.definitions import TABLES, Definition
from evolve.store.text import printable, unpack
from evolve.store.types import Real

#: ``json`` is a list or an object; ``real`` is a double, ``integer`` has 64 bits.
Kind: TypeAlias = Literal["integer", "real", "text", "json"]

#: Rows fetched at once.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        meaning: What its values say, with their unit.
        long: Whether its texts may be of any length; an export may leave such columns out.
    """

    name: str
    kind: Kind
    meaning: str
    long: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one run; ``query`` yields its rows in a fixed order."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    query: Select[Any]


class Snapshot:
    """The tables of a run, all as of one moment, however long reading them takes."""

    def __init__(self, connection: Connection, tables: tuple[Table, ...]) -> None:
        self._connection = connection
        self.tables = tables

    def rows(self, table: Table) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a table; characters that no text file can hold are replaced."""
        read = [_reader(column) for column in table.columns]
        found = self._connection.execute(table.query.execution_options(yield_per=_AT_ONCE))
        for row in found:
            yield tuple([each(value) for each, value in zip(read, row, strict=True)])


@contextmanager
def open_snapshot(
    database: Database, run_id: int, measures: tuple[Measure, ...], *, long: bool = True
) -> Iterator[Snapshot]:
    """Look at one moment of a run for as long as the context lasts.

    Nobody has to wait for it, but the write-ahead log of a run that goes on grows meanwhile.

    Args:
        database: Where the run is.
        run_id: The run.
        measures: Its axes: each is a column of ``programs``.
        long: Whether sources, prompts, replies and feedback in full are wanted.
    """
    tables = [_table(make(run_id, measures)) for make in TABLES]
    if not long:
        tables = [_short(table) for table in tables if table.name != "files"]
    with database.read() as connection:
        yield Snapshot(connection, tuple(tables))


def _table(definition: Definition) -> Table:
    name, meaning, fields, query = definition
    columns = [
        Column(label, _kind(element.type), text, isinstance(element.type, LargeBinary))
        for label, element, text in fields
    ]
    return Table(name, meaning, tuple(columns), query)


def _short(table: Table) -> Table:
    """Return a table without its long columns."""
    kept = [number for number, column in enumerate(table.columns) if not column.long]
    selected = list(table.query.selected_columns)
    query = table.query.with_only_columns(*(selected[n] for n in kept), maintain_column_froms=True)
    return Table(table.name, table.meaning, tuple(table.columns[n] for n in kept), query)


def _kind(stored: TypeEngine[Any]) -> Kind:
    """Return the kind of a column; blobs hold texts."""
    kinds: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
        (Integer, "integer"),
        (Float, "real"),
        (Real, "real"),
        (JSON, "json"),
    )
    return next((kind for type_, kind in kinds if isinstance(stored, type_)), "text")


def _reader(column: Column) -> Callable[[Any], object]:
    """Return what turns a stored value of ``column`` into one to be exported."""
    if column.long:
        return lambda value: None if value is None else printable(unpack(value))
    if column.kind == "text":
        return lambda value: None if value is None else printable(value)
    return lambda value: value
