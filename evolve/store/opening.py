"""From a URL to an open database at the version this program needs."""

from __future__ import annotations

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from evolve.core.errors import StoreError
from evolve.store.database import SYNCHRONOUS, Database
from evolve.store.migrate import upgrade
from evolve.store.schema import VERSION
from evolve.store.sqlite import SqliteDatabase, check_place, locate


def is_there(url: str) -> bool:
    """Return whether ``url`` names a file that is there, or a database with runs' tables.

    Raises:
        StoreError: it is no name of a database, or its server cannot be asked.
    """
    parsed = _parse(url)
    if _is_file(parsed):
        return locate(parsed)[0].exists()
    database = _server(parsed)
    try:
        with database.read() as connection:
            return _version(connection, database.name) is not None
    finally:
        database.close()


def shown(url: str) -> str:
    """Return ``url`` as it may be shown to anybody: without a password."""
    try:
        parsed = _parse(url)
    except StoreError:
        return "a database URL that cannot be read"
    if _is_file(parsed):
        return url
    from evolve.store.postgres import name_of

    return name_of(parsed)


def open_database(
    url: str, *, create: bool, readonly: bool, synchronous: str = SYNCHRONOUS[0]
) -> Database:
    """Open the database that ``url`` names, at the version this program needs.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or a plain path; such a URL may
            end in ``?synchronous=full``. Or ``postgresql+psycopg://user@host/database``.
        create: Whether a missing file is made; a missing database on a server never is.
        readonly: Never write, not even an upgrade.
        synchronous: One of `SYNCHRONOUS`; a URL that says ``full`` wins. A server's commits are
            always on its disk.

    Raises:
        StoreError: there is no such database, it is something else, or of another version.
    """
    parsed = _parse(url)
    if not _is_file(parsed):
        return _prepared(_server(parsed), readonly=readonly)
    path, asked = locate(parsed)
    check_place(path, create=create)
    if path.exists():  # it may not be ours: look before anything is changed
        looking = _checked(SqliteDatabase(path, "ro"), readonly=readonly)
        if readonly:
            return looking
        looking.close()
    synchronous = max(asked, synchronous, key=SYNCHRONOUS.index)
    return _upgraded(SqliteDatabase(path, "rwc" if create else "rw", synchronous))


def upgrade_database(url: str) -> str | None:
    """Bring a database that is there to `VERSION`, and return the one that it was of.

    Raises:
        StoreError: it is not there, or cannot be upgraded.
    """
    parsed = _parse(url)
    database: Database
    if _is_file(parsed):
        check_place(path := locate(parsed)[0], create=False)
        database = SqliteDatabase(path, "ro")
    else:
        database = _server(parsed)
    try:
        with database.read() as connection:
            found = _version(connection, database.name)
    finally:
        database.close()
    open_database(url, create=False, readonly=False).close()
    return found


def _parse(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # without the text, which may hold a password
        raise StoreError(
            "that is not a database URL; write sqlite:///FILE or "
            "postgresql+psycopg://USER@HOST/DATABASE"
        ) from None
    if parsed.drivername not in {*_FILES, *_SERVERS}:
        raise StoreError(
            f"{parsed.drivername}: it is SQLite or PostgreSQL; write sqlite:///FILE or "
            "postgresql+psycopg://USER@HOST/DATABASE"
        )
    return parsed


_FILES = ("sqlite", "sqlite+pysqlite")
_SERVERS = ("postgresql", "postgresql+psycopg")


def _is_file(url: URL) -> bool:
    return url.drivername in _FILES


def _server(url: URL) -> Database:
    from evolve.store.postgres import PostgresDatabase

    return PostgresDatabase(url)


def _prepared(database: Database, *, readonly: bool) -> Database:
    """Return a database that is there, checked and, for a writer, up to date."""
    checked = _checked(database, readonly=readonly)
    return checked if readonly else _upgraded(checked)


def _checked(database: Database, *, readonly: bool) -> Database:
    """Return a database that can be used as it is, or be upgraded; close any other.

    Raises:
        StoreError: it is of a newer version, of an older one that a writer must upgrade first, or
            not ours at all.
    """
    try:
        _check_version(database, readonly=readonly)
    except BaseException:
        database.close()
        raise
    return database


def _check_version(database: Database, *, readonly: bool) -> None:
    with database.read() as connection:
        found = _version(connection, database.name)
    if found is not None and found > VERSION:
        raise StoreError(
            f"{database.name}: written by a newer evolve (schema {found}); this one knows schemas "
            f"up to {VERSION}. Install a newer evolve, or give another --db."
        )
    if readonly and found != VERSION:
        state = "empty" if found is None else f"of schema {found}"
        raise StoreError(
            f"{database.name}: the database is {state}, and schema {VERSION} is needed. "
            "`evolve db upgrade` brings it there, as does every command that writes to it."
        )


def _upgraded(database: Database) -> Database:
    """Bring the database to `VERSION`; two processes that do so at once take turns."""
    try:
        with database.alter() as connection:
            if _version(connection, database.name) != VERSION:
                upgrade(connection)
            else:  # find out that nothing can be written before anything is paid for
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
    except BaseException:
        database.close()
        raise
    return database


def _version(connection: Connection, name: str) -> str | None:
    """Return the schema version of the database, None when it is empty.

    Raises:
        StoreError: it has tables and none of them is ours.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if not {"alembic_version", "archive_events"} <= set(tables):
        raise StoreError(
            f"{name}: this database belongs to something else (its tables: "
            f"{', '.join(tables[:5])}); give another --db"
        )
    found: str = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return found
