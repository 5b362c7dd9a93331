"""Carrying a run from one database to another, of either kind.

Rows get other keys where theirs are taken: all of a table are moved up by one number, so their
order stays, and with it every tie that it decides. A copy is one transaction: it is there whole,
and equal to its source by a digest of every row, or not at all.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Table,
    func,
    insert,
    select,
)

from evolve.core.errors import RunLocked, StoreError
from evolve.store.controllers import living
from evolve.store.database import Database, to_json
from evolve.store.rows import run_record
from evolve.store.schema import (
    blobs,
    commits,
    completions,
    controllers,
    evaluations,
    leases,
    metadata,
    notices,
    programs,
    proposals,
    runs,
)

#: Tables that are not of runs: one is of connections, the other is shared by runs.
APART = (commits, blobs)
#: Columns that name rows without a foreign key; those of ``proposals`` are lists.
UNDECLARED: Mapping[Column[Any], Table] = MappingProxyType(
    {
        proposals.c.parents: programs,
        proposals.c.inspirations: programs,
        proposals.c.start: programs,
        evaluations.c.start: programs,
        evaluations.c.copied_from: evaluations,
        evaluations.c.behaves_like: programs,
        proposals.c.controller: controllers,
        leases.c.controller: controllers,
    }
)
#: What the subject of a notice is, by its kind; of other kinds it is nothing.
SUBJECTS: Mapping[str, Table] = MappingProxyType(
    {
        **dict.fromkeys(("begun", "admitted", "refused"), proposals),
        **dict.fromkeys(("evaluated", "set_aside"), programs),
        "called": completions,
    }
)
#: What tells one run from another, wherever it is.
_IDENTITY = ("name", "created_at", "seed", "config_hash", "problem_hash")
#: The claim of the process that writes a run, which a copy does not have.
_CLAIM = (runs.c.holder, runs.c.holder_process, runs.c.claimed_at, runs.c.expires_at)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Copied:
    """A run that was carried over.

    Attributes:
        run_id: Its number where it came from.
        copy_id: Its number where it is now.
        rows: How many it has, by table.
        digest: SHA-256 of all of them, equal in both databases.
        renumbered: By how much the numbers of programs rose.
    """

    run_id: int
    copy_id: int
    rows: Mapping[str, int]
    digest: str
    renumbered: int


def copy_run(source: Database, target: Database, run_id: int, now: float) -> Copied:
    """Carry one run over, with everything that resuming and replaying it needs.

    Args:
        source: Where it is.
        target: Where it is to be, opened for writing.
        run_id: Its number in ``source``.
        now: Unix seconds; tells whether somebody writes the run.

    Raises:
        RunLocked: somebody does.
        StoreError: there is no such run, the target has it already, or the copy is not equal.
    """
    with source.read() as there, target.write() as here:
        _check(there, here, run_id, now, (source.name, target.name))
        shifts = {table: _shift(there, here, table, run_id) for table in of_runs()}
        carried = _carry_blobs(there, here, run_id)
        original, again = _Summary(), _Summary()
        plain, moved = _Numbers(there, run_id), _Numbers(there, run_id, shifts, carried)
        for table in of_runs():
            for rows in _chunks(there, table, run_id):
                original.add(table, [plain.values(table, row) for row in rows])
                here.execute(insert(table), [moved.values(table, row) for row in rows])
            target.numbered(here, table)
        copy_id = run_id + shifts[runs]
        back = _Numbers(here, copy_id, {table: -shift for table, shift in shifts.items()})
        for table in of_runs():
            for rows in _chunks(here, table, copy_id):
                again.add(table, [back.values(table, row) for row in rows])
        if (again.rows, again.digest) != (original.rows, original.digest):
            raise StoreError(
                f"{target.name}: the copy of run {run_id} has {again.rows} and the run "
                f"{original.rows}, or they are not equal; nothing was kept. A mistake of evolve"
            )
    return Copied(run_id, copy_id, original.rows, original.digest, shifts[programs])


def run_ids(source: Database) -> list[int]:
    """Return the numbers of all runs, oldest first."""
    with source.read() as connection:
        return list(connection.scalars(select(runs.c.id).order_by(runs.c.id)))


def copy_of(source: Database, target: Database, run_id: int) -> int | None:
    """Return the number that a run of ``source`` has in ``target``; None if it is not there."""
    with source.read() as there, target.read() as here:
        run = there.execute(select(runs).where(runs.c.id == run_id)).one()
        return _known(here, run)


def _known(connection: Connection, run: Row[Any]) -> int | None:
    """Return the number of a run that began as ``run`` did: the same one, or a copy of it."""
    same = (runs.c[name] == getattr(run, name) for name in _IDENTITY)
    return connection.scalar(select(runs.c.id).where(*same).limit(1))


def of_runs() -> list[Table]:
    """Return the tables whose rows belong to runs, those that others refer to first."""
    return [table for table in metadata.sorted_tables if table not in APART]


class _Numbers:
    """Gives rows their values in another database, or those that equal runs have in any.

    Args:
        connection: Where the rows are.
        run_id: Whose they are.
        shifts: What is added to the keys of each table; None for nothing.
        carried: Keys of blobs by their hash; None to have the hashes themselves.
    """

    def __init__(
        self,
        connection: Connection,
        run_id: int,
        shifts: Mapping[Table, int] | None = None,
        carried: Mapping[str, int] | None = None,
    ) -> None:
        self._shifts = shifts or {}
        hashes = _hashes(connection, run_id)
        self._blobs: Mapping[int, str | int] = (
            hashes if carried is None else {key: carried[sha] for key, sha in hashes.items()}
        )
        taken_over = evaluations.alias()
        own = select(evaluations.c.copied_from).join(
            taken_over, taken_over.c.id == evaluations.c.copied_from
        )
        mine = (evaluations.c.run_id == run_id) & (taken_over.c.run_id == run_id)
        self._own = set(connection.scalars(own.where(mine)))

    def values(self, table: Table, row: Row[Any]) -> dict[str, object]:
        """Return the values of a row by column."""
        values = {
            column.name: value if value is None else self._value(column, value)
            for column, value in zip(table.columns, row, strict=True)
        }
        if table is notices and row.kind in SUBJECTS:
            values["subject"] = row.subject + self._shifts.get(SUBJECTS[row.kind], 0)
        return values

    def _value(self, column: Column[Any], value: Any) -> object:  # noqa: ANN401 - any column's
        if column in _CLAIM:
            return None
        other = refers_to(column)
        if other is None:
            return value
        if other is blobs:
            return self._blobs[value]
        if column is evaluations.c.copied_from and value not in self._own:
            return -abs(value)  # another run's: not its number here
        shift = self._shifts.get(other, 0)
        return [each + shift for each in value] if isinstance(value, list) else value + shift


class _Summary:
    """What rows come to: how many there are by table, and a digest of them."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest in hexadecimal."""
        return self._hash.hexdigest()

    def add(self, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Take in some rows of a table."""
        self.rows[table.name] = self.rows.get(table.name, 0) + len(rows)
        for row in rows:
            self._hash.update(f"{table.name} {to_json(row)}\n".encode())


def _check(
    there: Connection, here: Connection, run_id: int, now: float, names: tuple[str, str]
) -> None:
    run = there.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if run is None:
        raise StoreError(f"{names[0]}: there is no run {run_id}; `evolve ls` lists those there are")
    busy = [each.holder for each in living(there, run_id, now)]
    if busy or run_record(run, now).live:
        holder = ", ".join(busy) or run.holder
        raise RunLocked(
            f"{names[0]}: run {run_id} is being written by {holder}; stop that process first",
            holder=holder,
        )
    known = _known(here, run)
    if known is not None:
        raise StoreError(f"{names[1]}: run {run_id} is there already, as run {known}")


def refers_to(column: Column[Any]) -> Table | None:
    """Return the table whose keys a column holds."""
    if column.name == "id":
        return column.table
    declared = next((key.column.table for key in column.foreign_keys), None)
    return UNDECLARED.get(column) if declared is None else declared


def _is_of(table: Table, run_id: int) -> ColumnElement[bool]:
    """Select the rows of a table that belong to a run."""
    if table is runs:
        return runs.c.id == run_id
    if "run_id" in table.c:
        return table.c.run_id == run_id
    for key in table.foreign_keys:
        owner = key.column.table
        if owner not in APART:
            return key.parent.in_(select(key.column).where(_is_of(owner, run_id)))
    raise AssertionError(f"whose are the rows of {table.name}?")


def _chunks(connection: Connection, table: Table, run_id: int) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of a table that belong to a run by their keys, some at a time."""
    query = select(table).where(_is_of(table, run_id)).order_by(*table.primary_key)
    streamed = query.execution_options(yield_per=_AT_ONCE)
    yield from connection.execute(streamed).partitions()


def _shift(there: Connection, here: Connection, table: Table, run_id: int) -> int:
    """Return what keys of a table must rise by to be above all that are taken; 0 if they are."""
    if "id" not in table.c:
        return 0
    first = there.scalar(select(func.min(table.c.id)).where(_is_of(table, run_id)))
    last = here.scalar(select(func.max(table.c.id)))
    return 0 if first is None or last is None or last < first else int(last) + 1 - int(first)


def _hashes(connection: Connection, run_id: int) -> dict[int, str]:
    """Return the hashes of the blobs that rows of a run refer to, by key."""
    found: dict[int, str] = {}
    for table in of_runs():
        for key in table.foreign_keys:
            if key.column.table is blobs:
                query = select(blobs.c.id, blobs.c.sha256).join(table, key.parent == blobs.c.id)
                rows = connection.execute(query.where(_is_of(table, run_id)).distinct())
                found.update((row.id, row.sha256) for row in rows)
    return found


def _carry_blobs(there: Connection, here: Connection, run_id: int) -> dict[str, int]:
    """Insert the blobs that are missing; return the keys of all that a run needs, by hash.

    Raises:
        StoreError: a blob is not what its hash says, in either database.
    """
    wanted = sorted(_hashes(there, run_id))
    carried: dict[str, int] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        chosen = blobs.c.id.in_(wanted[start : start + _AT_ONCE])
        texts = {row.sha256: row for row in there.execute(select(blobs).where(chosen))}
        known = select(blobs).where(blobs.c.sha256.in_(texts))
        have = {row.sha256 for row in here.execute(known)}
        missing = [
            {"sha256": sha, "size": row.size, "data": row.data}
            for sha, row in texts.items()
            if sha not in have
        ]
        if missing:
            here.execute(insert(blobs), missing)
        for row in here.execute(known):
            if not _is_whole(row):
                raise StoreError(f"the text {row.sha256} is damaged; nothing was kept of the copy")
            carried[row.sha256] = row.id
    return carried


def _is_whole(blob: Row[Any]) -> bool:
    try:
        text = zlib.decompress(blob.data)
    except zlib.error:
        return False
    found: str = blob.sha256
    return hashlib.sha256(text).hexdigest() == found
