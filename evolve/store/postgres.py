"""PostgreSQL: a database on a server, for runs that outgrow one machine.

Isolation: what writes begins by taking an advisory lock, then sees each statement's newest state
(READ COMMITTED), so writers take turns as with SQLite's ``BEGIN IMMEDIATE``. What only reads sees
one state (REPEATABLE READ) and waits for nobody.

A server that goes away: connecting is tried again for a while. A transaction that was under way is
`TransactionLost`, and `evolve.store.patience` begins it again. Where it cannot be known whether a
COMMIT still took place, the row that every transaction leaves in ``commits`` tells.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    Connection,
    Table,
    TextClause,
    create_engine,
    delete,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.engine import URL, Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.schema import Column
from sqlalchemy.types import String

from evolve.core.errors import PrerequisiteError, StoreError, TransactionLost
from evolve.store import database
from evolve.store.database import Database, to_json
from evolve.store.postgres_errors import PASSING, explain
from evolve.store.schema import commits

#: Seconds to wait for a server that answered before and is away now.
AWAY_S = 60.0
#: Oldest server: the first one with ``MATERIALIZED``.
OLDEST = (12, 0)
#: Of our advisory locks.
_LOCK = int.from_bytes(b"evol", "big")
#: Seconds after which the server ends a transaction whose process stopped in its midst.
_STALLED_S = 60
#: Seconds after which a connection is tried before it is used, which costs a round trip.
_IDLE_S = 1.0
#: Seconds after which the mark of a connection that is gone is of no use to anybody.
_FORGOTTEN_S = 86_400
#: What libpq is told unless the URL says otherwise: above all to notice that a server is gone.
_CONNECTION = {
    "client_encoding": "utf8",
    "fallback_application_name": "evolve",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Options of a URL that say where the database is.
_SHOWN = ("host", "port", "service", "dbname", "user")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)

#: One statement, for each is a round trip more for every transaction. Settings precede the lock.
_LOCKED = """SELECT set_config('lock_timeout', :busy, true),
    set_config('idle_in_transaction_session_timeout', :stalled, true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'local' ELSE current_setting('synchronous_commit') END, true),
    pg_advisory_xact_lock(:lock, 0)"""
_TAKE = text(_LOCKED)
_MARK = """INSERT INTO commits (writer, number, at) VALUES (:writer, :number, :at)
    ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at"""
_TAKE_AND_MARK = text(f"WITH marked AS ({_MARK}) {_LOCKED}")


class Mark(NamedTuple):
    """What a transaction leaves in ``commits``, in the row of its connection."""

    writer: str
    number: int


class PostgresDatabase(Database):
    """Transactions on a database of a server.

    Args:
        url: Where it is; what it leaves out libpq takes from its environment and its files.

    Raises:
        PrerequisiteError: the driver is not installed.
        StoreError: the server cannot be reached, or cannot be used.
    """

    def __init__(self, url: URL) -> None:
        self._url, self._patience_s, self._busy_s = url, AWAY_S, database.BUSY_S
        super().__init__(name_of(url), Path.cwd(), _engine(url))
        event.listen(self._engine, "handle_error", self._explain)
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._answered = self._gave_up = False
        try:
            with self.read() as connection:
                _check_server(connection, self.name)
        except BaseException:
            self.close()
            raise
        self._answered = True

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database and blocks nobody."""
        with self._patiently(self._reading.connect) as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """Open a transaction that excludes other writers; it commits when the block ends well."""
        connection, mark = self._patiently(self._marked)
        with connection:
            yield connection
            try:
                connection.commit()
            except TransactionLost:
                if not self._is_committed(mark):
                    raise

    @contextmanager
    def alter(self) -> Iterator[Connection]:
        """Open a transaction that may change tables; it excludes other writers."""
        with self._patiently(self._locked) as connection:
            yield connection
            connection.commit()

    def identity(self) -> str:
        """Return the name: a database that is not there now may be there again."""
        return self.name

    def numbered(self, connection: Connection, table: Table) -> None:
        """Have further rows of a table numbered after those that came with numbers."""
        if "id" in table.c:
            last = select(func.max(table.c.id)).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, "id")
            connection.execute(select(func.setval(sequence, last)).where(last.is_not(None)))

    def wait_at_most(self, seconds: float) -> None:
        """Set how long a transaction waits for other processes and for a server that is away."""
        self._patience_s = self._busy_s = seconds

    def wait_for_server(self, seconds: float) -> None:
        """Set how long a transaction waits for a server that answered before and is away now."""
        self._patience_s = seconds

    def _explain(self, context: ExceptionContext) -> None:
        error = explain(context, self.name, self._url)
        if error is not None:
            raise error from context.original_exception

    def _locked(self) -> Connection:
        """Return a connection in a transaction that no other writer's can overlap."""
        connection = self._engine.connect()
        self._take(connection, _TAKE, {})
        return connection

    def _marked(self) -> tuple[Connection, Mark]:
        """Return the same, and the mark that its commit will leave."""
        connection = self._engine.connect()
        mine, now = connection.info, time.time()
        mark = Mark(mine.setdefault("writer", uuid.uuid4().hex), mine.get("number", 0) + 1)
        mine["number"] = mark.number
        self._take(connection, _TAKE_AND_MARK, {**mark._asdict(), "at": now})
        if mark.number == 1:
            connection.execute(delete(commits).where(commits.c.at < now - _FORGOTTEN_S))
        return connection, mark

    def _take(
        self, connection: Connection, statement: TextClause, values: Mapping[str, object]
    ) -> None:
        settings = {"busy": f"{round(self._busy_s * 1000)}ms", "stalled": f"{_STALLED_S}s"}
        try:
            connection.execute(statement, {**settings, "lock": _LOCK, **values})
        except BaseException:
            connection.close()
            raise

    def _is_committed(self, mark: Mark) -> bool:
        """Return whether a transaction whose end was not seen took place.

        Its session may still be at it; the lock is free once that has ended either way.
        """
        query = select(commits.c.number).where(commits.c.writer == mark.writer)
        with self._patiently(self._locked) as connection:
            return connection.scalar(query) == mark.number

    def _patiently(self, begin: Callable[[], _T]) -> _T:
        """Call ``begin`` until it succeeds, while a server that answered before may come back.

        Raises:
            StoreError: it did not in time, or never answered.
        """
        started, pause = time.monotonic(), 0.05
        while True:
            try:
                begun = begin()
            except TransactionLost as error:
                left = started + self._patience_s - time.monotonic()
                if not (self._answered or any(part in str(error) for part in PASSING)):
                    raise StoreError(str(error)) from error
                if left <= 0 or self._gave_up:
                    self._gave_up = True  # who tidies up afterwards need not wait as long again
                    raise StoreError(
                        f"{error}. It was waited for. Nothing that was committed is lost: start "
                        "the server and run again to resume"
                    ) from error
                if pause < 0.1:
                    _log.warning("%s; trying again for %.0f s", error, left)
                time.sleep(min(pause, left))
                pause = min(2 * pause, 2.0)
            else:
                self._gave_up = False
                if pause >= 0.1:
                    waited = time.monotonic() - started
                    _log.warning("%s: there again after %.1f s", self.name, waited)
                return begun


class _Collated(PGDDLCompiler):
    """Makes text columns compare byte by byte, as in SQLite, whatever the database's locale."""

    def get_column_specification(self, column: Column[Any], **options: Any) -> str:  # noqa: ANN401
        """Return the definition of a column."""
        found: str = super().get_column_specification(column, **options)  # type: ignore[no-untyped-call] # SQLAlchemy's
        kind = column.type.dialect_impl(self.dialect)
        return f'{found} COLLATE "C"' if isinstance(kind, String) else found


def name_of(url: URL) -> str:
    """Return ``url`` as messages have it: without a password, and without options."""
    options = {key: url.query[key] for key in _SHOWN if key in url.query}
    bare = url._replace(drivername="postgresql", password=None)
    return bare.set(query=options).render_as_string()


def _engine(url: URL) -> Engine:
    given = {*url.query, *(("connect_timeout",) if "PGCONNECT_TIMEOUT" in os.environ else ())}
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={key: value for key, value in _CONNECTION.items() if key not in given},
            json_serializer=to_json,
            hide_parameters=True,  # prompts and sources do not belong into error messages
        )
    except ImportError as error:
        raise PrerequisiteError(
            f"a PostgreSQL database needs: pip install 'evolve-engine[postgres]' ({error})"
        ) from error
    engine.dialect.ddl_compiler = _Collated
    event.listen(engine, "checkin", _note_end)
    event.listen(engine, "checkout", partial(_try_idle, engine))
    return engine


def _note_end(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _try_idle(
    engine: Engine,
    connection: DBAPIConnection,
    record: ConnectionPoolEntry,
    _: PoolProxiedConnection,
) -> None:
    """Find out, before it is used, whether the server has ended a connection that was idle."""
    now = time.monotonic()
    if now - record.info.get("idle_since", now) > _IDLE_S:
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            raise DisconnectionError(str(error)) from error  # the pool then makes another one


def _check_server(connection: Connection, name: str) -> None:
    """Refuse a server that our tables cannot be used on.

    Raises:
        StoreError: it is too old, or does not hold all of Unicode.
    """
    found = connection.dialect.server_version_info or ()
    if found < OLDEST:
        raise StoreError(
            f"{name}: PostgreSQL {'.'.join(map(str, found))} is too old; {OLDEST[0]} is needed"
        )
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise StoreError(
            f"{name}: the database is encoded as {encoding} and cannot hold every program; make "
            "one with `createdb --encoding UTF8 --template template0`"
        )
