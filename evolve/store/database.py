"""One SQLite file: connections, transactions, versions, and errors that say what to do.

Durability: write-ahead log with ``synchronous=NORMAL``. A killed process loses nothing that was
committed; a power failure may take back the last commits, never break the file. With
``sqlite:///FILE?synchronous=full`` every commit waits for the disk, and nothing is taken back.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from evolve.core.errors import StoreError
from evolve.store.migrate import upgrade
from evolve.store.schema import VERSION

#: Seconds to wait for another process's transaction. Ours take about a millisecond.
BUSY_S = 30.0
#: What SQLite's ``synchronous`` may be set to.
SYNCHRONOUS = ("normal", "full")

_REMEDIES = {
    "SQLITE_FULL": "the disk is full; free some space and run again to resume",
    "SQLITE_BUSY": f"another process has kept it locked for {BUSY_S:g} s; stop that "
    "process and run again to resume: nothing that was committed is lost",
    "SQLITE_LOCKED": "another connection has locked it; close it",
    "SQLITE_READONLY": "it cannot be written; change its permissions or give another --db",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder exists and may be written",
    "SQLITE_PERM": "permission is denied; change its permissions or give another --db",
    "SQLITE_NOTADB": "it is not an SQLite database; give another --db",
    "SQLITE_CORRUPT": "it is damaged; `sqlite3 FILE .recover` may save its rows, or restore a copy",
    "SQLITE_IOERR": "reading or writing failed; check the disk (`dmesg`) and its free space",
    "SQLITE_TOOBIG": "a text is larger than the database can hold",
}


class Database:
    """Transactions on one file. Safe to use from several threads; each gets its own connection.

    Args:
        path: The file.
        mode: SQLite's ``ro``, ``rw`` or ``rwc`` (create the file).
        synchronous: When a commit is on the disk: one of `SYNCHRONOUS`.
    """

    def __init__(self, path: Path, mode: str, synchronous: str = "normal") -> None:
        self.path = path
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, mode, synchronous),
            poolclass=QueuePool,
            json_serializer=_to_json,
            hide_parameters=True,  # prompts and sources do not belong into error messages
        )
        event.listen(self._engine, "begin", _begin)
        event.listen(self._engine, "handle_error", _explain(path))
        self._writing = self._engine.execution_options(immediate=True)

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state of the file and blocks nobody."""
        return self._engine.begin()

    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that excludes other writers; it commits when the block ends well."""
        return self._writing.begin()

    def wait_at_most(self, seconds: float) -> None:
        """Set how long a transaction waits where another process has locked the file."""

        def limit(connection: sqlite3.Connection, _: object) -> None:
            connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")

        event.listen(self._engine, "connect", limit)
        self._engine.dispose()  # connections that are open do not know it

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def is_there(url: str) -> bool:
    """Return whether the file that ``url`` names is there.

    Raises:
        StoreError: it is no name of a database.
    """
    return _parse(url)[0].exists()


def open_database(
    url: str, *, create: bool, readonly: bool, synchronous: str = SYNCHRONOUS[0]
) -> Database:
    """Open the file ``url`` names, at the version this program needs.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or a plain path; a URL may end
            in ``?synchronous=full``.
        create: Whether a missing file is made.
        readonly: Never write, not even an upgrade.
        synchronous: One of `SYNCHRONOUS`; a URL that says ``full`` wins.

    Raises:
        StoreError: there is no such file, it is something else, or of another version.
    """
    path, asked = _parse(url)
    synchronous = max(asked, synchronous, key=SYNCHRONOUS.index)
    if not create and not path.exists():
        raise StoreError(f"{path}: no such database; `evolve run` makes one, --db names another")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise StoreError(f"{path}: this is a folder; name a file, such as {path / 'evolve.db'}")
    if path.exists():  # it may not be ours: look before anything is changed
        database = Database(path, "ro")
        try:
            _check_version(database, readonly=readonly)
        except BaseException:
            database.close()
            raise
        if readonly:
            return database
        database.close()
    return _open_for_writing(Database(path, "rwc" if create else "rw", synchronous))


def _parse(url: str) -> tuple[Path, str]:
    """Return the file that ``url`` names, and how far a commit goes before it returns."""
    if "://" not in url:
        return Path(url), SYNCHRONOUS[0]
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(f"{url!r} is not a database URL; write sqlite:///FILE") from None
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"{parsed.drivername}: only SQLite is supported; write sqlite:///FILE")
    options = dict(parsed.query)
    synchronous = str(options.pop("synchronous", SYNCHRONOUS[0])).lower()
    if not parsed.database or parsed.database == ":memory:" or options:
        raise StoreError(
            f"{url}: name a file and nothing else, as in sqlite:///evolve.db, but for "
            "?synchronous=full"
        )
    if synchronous not in SYNCHRONOUS:
        raise StoreError(f"{url}: synchronous is {' or '.join(SYNCHRONOUS)}")
    return Path(parsed.database), synchronous


def _connect(path: Path, mode: str, synchronous: str) -> sqlite3.Connection:
    """Open one connection, set up as every connection of ours must be."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not _wal(path).exists():
        uri += "&immutable=1"  # a write-ahead log cannot be opened there, and nobody can write one
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
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


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))


def _explain(path: Path) -> Callable[[ExceptionContext], None]:
    """Return a handler that turns SQLite's errors into `StoreError`, a mistake of ours excepted."""

    def handle(context: ExceptionContext) -> None:
        original = context.original_exception
        name = getattr(original, "sqlite_errorname", "")
        for prefix, remedy in _REMEDIES.items():
            if name.startswith(prefix) and not isinstance(original, sqlite3.IntegrityError):
                raise StoreError(f"{path}: {remedy} ({original})") from original

    return handle


def _check_version(database: Database, *, readonly: bool) -> None:
    """Refuse a file that cannot be used as it is, or be upgraded.

    Raises:
        StoreError: it is of a newer version, of an older one that a writer must upgrade first, or
            not ours at all.
    """
    with database.read() as connection:
        found = _version(connection, database.path)
    if found is not None and found > VERSION:
        raise StoreError(
            f"{database.path}: written by a newer evolve (schema {found}); this one knows schemas "
            f"up to {VERSION}. Install a newer evolve, or give another --db."
        )
    if readonly and found != VERSION:
        state = "empty" if found is None else f"of schema {found}"
        raise StoreError(
            f"{database.path}: the database is {state}, and schema {VERSION} is needed. "
            "`evolve run` with this --db upgrades it."
        )


def _open_for_writing(database: Database) -> Database:
    """Bring the file to `VERSION`; two processes that do so at once take turns."""
    try:
        with database.write() as connection:
            if _version(connection, database.path) != VERSION:
                upgrade(connection)
            else:  # find out that nothing can be written before anything is paid for
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
    except BaseException:
        database.close()
        raise
    return database


def _version(connection: Connection, path: Path) -> str | None:
    """Return the schema version of the file, None when it is empty.

    Raises:
        StoreError: the file has tables and none of them is ours.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if not {"alembic_version", "archive_events"} <= set(tables):
        raise StoreError(
            f"{path}: this SQLite database belongs to something else (its tables: "
            f"{', '.join(tables[:5])}); give another --db"
        )
    found: str = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return found
