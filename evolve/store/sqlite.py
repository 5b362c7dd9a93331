"""SQLite: a database is one file.

Durability: write-ahead log with ``synchronous=NORMAL``. A killed process loses nothing that was
committed; a power failure may take back the last commits, never break the file. With
``sqlite:///FILE?synchronous=full`` every commit waits for the disk, and nothing is taken back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Table, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.pool import QueuePool

from evolve.core.errors import DatabaseBusy, StoreError
from evolve.store import database
from evolve.store.database import SYNCHRONOUS, Database, to_json

_REMEDIES = {
    "SQLITE_FULL": "the disk is full; free some space and run again to resume",
    "SQLITE_BUSY": "another process has kept it locked for too long; stop that process and run "
    "again to resume: nothing that was committed is lost",
    "SQLITE_LOCKED": "another connection has locked it; close it",
    "SQLITE_READONLY": "it cannot be written; change its permissions or give another --db",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder exists and may be written",
    "SQLITE_PERM": "permission is denied; change its permissions or give another --db",
    "SQLITE_NOTADB": "it is not an SQLite database; give another --db",
    "SQLITE_CORRUPT": "it is damaged; `sqlite3 FILE .recover` may save its rows, or restore a copy",
    "SQLITE_IOERR": "reading or writing failed; check the disk (`dmesg`) and its free space",
    "SQLITE_TOOBIG": "a text is larger than the database can hold",
}


class SqliteDatabase(Database):
    """Transactions on one file.

    Args:
        path: The file.
        mode: SQLite's ``ro``, ``rw`` or ``rwc`` (create the file).
        synchronous: When a commit is on the disk: one of `SYNCHRONOUS`.
    """

    def __init__(self, path: Path, mode: str, synchronous: str = "normal") -> None:
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, mode, synchronous),
            poolclass=QueuePool,
            json_serializer=to_json,
            hide_parameters=True,  # prompts and sources do not belong into error messages
        )
        super().__init__(str(path), path.parent, engine)
        self._path = path
        event.listen(engine, "begin", _begin)
        event.listen(engine, "handle_error", _explain(path))
        self._writing = engine.execution_options(immediate=True)

    def _read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state of the file and blocks nobody."""
        return self._engine.begin()

    def _write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that excludes other writers; it commits when the block ends well."""
        return self._writing.begin()

    def alter(self) -> AbstractContextManager[Connection]:
        """Open a transaction that may change tables, which is like any that writes."""
        return self._write()

    def identity(self) -> tuple[int, int] | None:
        """Return what tells the file from another of the same name, or None when there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def numbered(self, connection: Connection, table: Table) -> None:
        """Do nothing: a row is numbered after the last one."""

    def wait_at_most(self, seconds: float) -> None:
        """Set how long a transaction waits where another process has locked the file."""

        def limit(connection: sqlite3.Connection, _: object) -> None:
            connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")

        event.listen(self._engine, "connect", limit)
        self._engine.dispose()  # connections that are open do not know it

    def wait_for_server(self, seconds: float) -> None:
        """Do nothing: a file has no server."""


def locate(url: URL) -> tuple[Path, str]:
    """Return the file that ``url`` names, and how far a commit goes before it returns.

    Raises:
        StoreError: it names none, or asks for more than that.
    """
    options = dict(url.query)
    synchronous = str(options.pop("synchronous", SYNCHRONOUS[0])).lower()
    if not url.database or url.database == ":memory:" or options:
        raise StoreError(
            f"{url}: name a file and nothing else, as in sqlite:///evolve.db, but for "
            "?synchronous=full"
        )
    if synchronous not in SYNCHRONOUS:
        raise StoreError(f"{url}: synchronous is {' or '.join(SYNCHRONOUS)}")
    return Path(url.database), synchronous


def check_place(path: Path, *, create: bool) -> None:
    """Refuse a file that cannot be opened or made.

    Raises:
        StoreError: there is no such file, or no folder for it, or it is a folder.
    """
    if not create and not path.exists():
        raise StoreError(f"{path}: no such database; `evolve run` makes one, --db names another")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise StoreError(f"{path}: this is a folder; name a file, such as {path / 'evolve.db'}")


def _connect(path: Path, mode: str, synchronous: str) -> sqlite3.Connection:
    """Open one connection, set up as every connection of ours must be."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not _wal(path).exists():
        uri += "&immutable=1"  # a write-ahead log cannot be opened there, and nobody can write one
    connection = sqlite3.connect(
        uri, uri=True, timeout=database.BUSY_S, isolation_level=None, check_same_thread=False
    )
    if mode != "ro":
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _begin(connection: Connection) -> None:
    """Take the write lock at once: a read lock cannot always be upgraded later."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _explain(path: Path) -> Callable[[ExceptionContext], None]:
    """Return a handler that turns SQLite's errors into `StoreError`, a mistake of ours excepted."""

    def handle(context: ExceptionContext) -> None:
        original = context.original_exception
        name = getattr(original, "sqlite_errorname", "")
        for prefix, remedy in _REMEDIES.items():
            if name.startswith(prefix) and not isinstance(original, sqlite3.IntegrityError):
                kind = DatabaseBusy if prefix == "SQLITE_BUSY" else StoreError
                raise kind(f"{path}: {remedy} ({original})") from original

    return handle
