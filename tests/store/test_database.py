"""What holds of a database of either kind."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, CheckConstraint, Column, inspect, text

from evolve.core.errors import StoreError
from evolve.store.database import Database
from evolve.store.migrate import view_statements
from evolve.store.opening import open_database
from evolve.store.reader import open_reader
from evolve.store.schema import VERSION, metadata
from evolve.store.store import open_store
from tests.store.samples import new_run, program


@pytest.fixture
def opened(url: str) -> Iterator[Database]:
    database = open_database(url, create=True, readonly=False)
    yield database
    database.close()


def set_version(url: str, version: str) -> None:
    with open_store(url) as store, store._database.write() as connection:
        query = text("UPDATE alembic_version SET version_num = :version")
        connection.execute(query, {"version": version})


def default_differs(
    context: MigrationContext, found: Column[Any], declared: Column[Any], *defaults: str | None
) -> bool | None:
    """Compare the defaults of JSON columns, which PostgreSQL cannot; None leaves it to alembic."""
    if context.dialect.name != "postgresql" or not isinstance(declared.type, JSON):
        return None
    there, _, wanted = defaults
    return there != (None if wanted is None else f"'{wanted}'::json")


def test_migrations_make_exactly_the_declared_tables(opened: Database) -> None:
    with opened.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_server_default": default_differs}
        )
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == VERSION


def plain(condition: str) -> str:
    """Return a condition without the types and parentheses that PostgreSQL adds."""
    bare = condition.replace("::text", "").replace("(", "").replace(")", "")
    return re.sub("^(.*) = (objective.*)$", r"(\1) = (\2)", bare)


def test_migrations_keep_the_checks_that_alembic_does_not_compare(opened: Database) -> None:
    with opened.read() as connection:
        for table in metadata.sorted_tables:
            declared = {str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint)}
            found = inspect(connection).get_check_constraints(table.name)
            assert {plain(check["sqltext"]) for check in found} == declared, table.name


def test_every_view_can_be_read(opened: Database) -> None:
    with opened.read() as connection:
        names = inspect(connection).get_view_names()
        assert sorted(names) == [
            "elites",
            "estimates",
            "failures",
            "leaderboard",
            "lineage",
            "spend_by_model",
        ]
        for name in names:
            assert connection.exec_driver_sql(f"SELECT * FROM {name}").all() == []
    assert len(view_statements()) == len(names)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql://user:secret@host/db", "it is SQLite or PostgreSQL"),
        ("postgresql+psycopg2://user:secret@host/db", r"write .*postgresql\+psycopg://"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:///x.db?timeout=3", "name a file"),
        ("sqlite:///x.db?synchronous=off", "synchronous is normal or full"),
        ("://", "not a database URL"),
    ],
)
def test_other_urls_are_refused(url: str, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


def test_a_newer_database_is_refused_by_both(url: str) -> None:
    set_version(url, "9999")
    for opener in (open_store, open_reader):
        with pytest.raises(StoreError, match=r"newer evolve \(schema 9999\).*up to " + VERSION):
            opener(url)


def test_an_older_database_is_not_read_as_it_is(url: str) -> None:
    set_version(url, "0000")
    with pytest.raises(StoreError, match=f"of schema 0000, and schema {VERSION} is needed"):
        open_reader(url)


def test_many_processes_may_make_the_same_file(url: str) -> None:
    code = "import sys; from evolve.store.store import open_store; open_store(sys.argv[1]).close()"
    children = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    with open_reader(url) as reader:
        assert reader.runs() == ()


def test_writers_of_two_runs_take_turns(url: str) -> None:
    def work(number: int) -> None:
        with open_store(url) as store:
            run = store.create_run(new_run(str(number))).id
            for each in range(20):
                store.add_program(run, program(each), operator="seed")

    open_store(url).close()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_reader(url) as reader:
        assert [len(reader.programs(run.id)) for run in reader.runs()] == [20, 20, 20]
