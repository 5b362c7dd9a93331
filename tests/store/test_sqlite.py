"""What is SQLite's alone: files, locks, disks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evolve.core.errors import StoreError
from evolve.store import database
from evolve.store.database import Database
from evolve.store.opening import open_database
from evolve.store.reader import open_reader
from evolve.store.store import Store, open_store
from tests.store.samples import new_run, program


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    database = open_database(str(path), create=True, readonly=False)
    yield database
    database.close()


def test_files_are_set_up_as_documented(opened: Database) -> None:
    with opened.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


@pytest.mark.parametrize(("option", "level"), [("?synchronous=full", 2), ("", 1)])
def test_a_url_may_ask_for_commits_that_reach_the_disk(path: Path, option: str, level: int) -> None:
    with open_store(f"sqlite:///{path}{option}") as store, store._database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_urls_and_paths_name_the_same_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "with space #1 50%.db"
    with open_store(form.format(path)) as store:
        run = store.create_run(new_run())
    with open_reader(str(path)) as reader:
        assert reader.runs() == (run,)


def test_a_relative_path_is_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///evolve.db").close()
    assert (tmp_path / "evolve.db").exists()


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.db"
    with pytest.raises(StoreError, match=r"none\.db: no such database; `evolve run` makes one"):
        open_reader(str(missing))
    with pytest.raises(StoreError, match="no such database"):
        open_store(str(missing), create=False)
    assert not missing.exists()
    with pytest.raises(StoreError, match=r"there is no folder .*gone"):
        open_store(str(tmp_path / "gone" / "x.db"))


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="this is a folder"):
        open_store(str(tmp_path))


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to have a header\n" * 100)
    before = text.read_bytes()
    for opener in (open_store, open_reader):
        with pytest.raises(StoreError, match=r"notes\.txt: it is not an SQLite database"):
            opener(str(text))
    assert text.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to something else \(its tables: customers\)"):
        open_store(str(path))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_a_damaged_file_is_reported(path: Path) -> None:
    with open_store(str(path)) as store:
        run = store.create_run(new_run()).id
        for number in range(50):
            store.add_program(run, program(number), operator="seed")
    pages = bytearray(path.read_bytes())
    pages[4096 * 2 :] = b"\xff" * (len(pages) - 4096 * 2)
    path.write_bytes(pages)
    with pytest.raises(StoreError, match="it is damaged"), open_reader(str(path)) as reader:
        reader.programs(run)


def test_an_empty_file_is_filled_by_a_writer_only(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="the database is empty"):
        open_reader(str(path))
    open_store(str(path), create=False).close()
    with open_reader(str(path)) as reader:
        assert reader.runs() == ()


def test_a_failing_migration_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[str]:
        return ["CREATE VIEW oops AS SELECT"]

    with monkeypatch.context() as patched:
        patched.setattr("evolve.store.migrate.view_statements", broken)
        with pytest.raises(Exception, match=r"incomplete input|syntax error"):
            open_store(str(path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    open_store(str(path)).close()


def test_a_locked_database_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    with open_store(str(path)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"another process has kept it locked") as locked:
            store.create_run(new_run())
        assert str(path) in str(locked.value)
        other.rollback()
        assert store.create_run(new_run()).id == 1


def fill(store: Store, run: int) -> int:
    """Add programs until the file cannot grow; return how many were committed."""
    for number in range(10_000):
        try:
            noise = os.urandom(2000).hex()
            store.add_program(run, program(number), operator="seed", summary=noise)
        except StoreError as error:
            assert "the disk is full; free some space" in str(error)  # noqa: PT017 - counted too
            return number
    raise AssertionError("the file never became full")


def test_a_full_disk_is_reported_and_loses_nothing(path: Path) -> None:
    with open_store(str(path)) as store:
        run = store.create_run(new_run()).id
        with store._database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}")
        committed = fill(store, run)
        assert committed > 0
        assert len(store.programs(run)) == committed
        with store._database.read() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4000}")
        assert store.add_program(run, program(committed), operator="seed").is_new


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_really_full_disk(tmp_path: Path) -> None:
    mount = shutil.which("mount") or "mount"
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=False
    )
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with open_store(str(tmp_path / "x.db")) as store:
            run = store.create_run(new_run()).id
            committed = fill(store, run)
            assert len(store.programs(run)) == committed > 0
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_written_can_be_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(str(path)) as store:
        run = store.create_run(new_run())
    monkeypatch.setattr(os, "access", lambda *_: False)
    with open_reader(str(path)) as reader:
        assert reader.runs() == (run,)
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Become nobody for a moment where the tests run as root, who may write anything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_read_only_file_is_reported() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        open_store(str(path)).close()
        path.chmod(0o444)
        path.parent.chmod(0o777)
        with unprivileged(), pytest.raises(StoreError, match=r"x\.db: it cannot be written"):
            open_store(str(path))
        path.parent.chmod(0o555)
        with unprivileged(), pytest.raises(StoreError, match=r"y\.db: it cannot be opened"):
            open_store(str(path.with_name("y.db")))
        path.parent.chmod(0o700)
