"""What is PostgreSQL's alone: the way to a server, its refusals, and sessions that end early."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from evolve.core.errors import DatabaseBusy, PrerequisiteError, StoreError
from evolve.store.opening import is_there, shown
from evolve.store.reader import open_reader
from evolve.store.schema import metadata
from evolve.store.store import Store, open_store
from tests.postgres_server import GUARDED, SECRET, Server
from tests.store.samples import SampleReply, entering, new_run, program, scored

pytestmark = pytest.mark.postgres


@pytest.fixture
def empty(postgres: Server) -> Iterator[str]:
    """A database without a table."""
    yield postgres.create("nothing")
    postgres.sql("DROP DATABASE nothing WITH (FORCE)")


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as opened:
        yield opened


def refused(url: str) -> str:
    """Return what is said of a database that cannot be opened, to writers and readers alike."""
    with pytest.raises(StoreError) as writing:
        open_store(url)
    with pytest.raises(StoreError) as reading:
        open_reader(url)
    for error in (writing, reading):
        assert SECRET not in str(error.value)
    return str(writing.value)


def test_where_no_server_is_that_is_said(tmp_path: Path) -> None:
    assert "no server listens there" in refused("postgresql://me@127.0.0.1:1/evolve")
    assert "no server has its socket there" in refused(f"postgresql://me@/evolve?host={tmp_path}")
    assert "there is no such host" in refused("postgresql://me@nowhere.invalid/evolve")
    assert "does not know" in refused("postgresql://me@127.0.0.1/evolve?synchronous=full")


def test_a_missing_database_or_user_is_to_be_made(postgres: Server) -> None:
    assert "make it first, with `createdb`" in refused(postgres.url("missing"))
    assert 'role "nobody" does not exist' in refused(postgres.url("evolve", user="nobody"))


def test_passwords_come_from_where_libpq_has_them_and_are_never_told(
    postgres: Server, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = postgres.url("evolve", user=GUARDED)
    assert "PGPASSWORD or ~/.pgpass" in refused(bare)
    assert "the password is wrong" in refused(postgres.url("evolve", GUARDED, SECRET + "!"))
    with open_reader(postgres.url("evolve", GUARDED, SECRET)) as reader:
        assert reader.runs() == ()
        assert "hunter2" not in reader.name
        assert GUARDED in reader.name
    with monkeypatch.context() as patched:
        patched.setenv("PGPASSWORD", SECRET)
        open_reader(bare).close()
    passes = tmp_path / "pgpass"
    passes.write_text(f"*:*:evolve:{GUARDED}:{SECRET}\n")
    passes.chmod(0o600)
    services = tmp_path / "services"
    services.write_text(f"[lab]\nhost={postgres.folder}\nuser={GUARDED}\ndbname=evolve\n")
    with monkeypatch.context() as patched:
        patched.setenv("PGPASSFILE", str(passes))
        patched.setenv("PGSERVICEFILE", str(services))
        with open_reader("postgresql:///?service=lab") as reader:
            assert reader.name.endswith("?service=lab")
    refused("postgresql:///?service=lab")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql+psycopg://u:secret@h:5/d?sslpassword=secret", "postgresql://u@h:5/d"),
        ("postgresql:///d?host=/run&password=secret", "postgresql:///d?host=%2Frun"),
        ("sqlite:///x.db?synchronous=full", "sqlite:///x.db?synchronous=full"),
        ("x.db", "x.db"),
        ("mysql://u:secret@h/d", "a database URL that cannot be read"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, seen: str) -> None:
    assert shown(url) == seen


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'evolve-engine\[postgres\]'"):
        open_reader("postgresql://h/d")


def test_rights_that_are_missing_are_named(postgres: Server, postgres_url: str, empty: str) -> None:
    mine = postgres.url("nothing", GUARDED, SECRET)
    with pytest.raises(StoreError, match="let it own the database"):
        open_store(mine)
    assert not is_there(empty), "nothing was left behind"
    with pytest.raises(StoreError, match="let it own the database"):
        open_store(postgres.url("evolve", GUARDED, SECRET))
    postgres.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {GUARDED}", "evolve")
    open_reader(postgres.url("evolve", GUARDED, SECRET)).close()  # who may read, may


def test_a_database_of_something_else_is_refused(postgres: Server, empty: str) -> None:
    postgres.sql("CREATE TABLE customers (name TEXT); CREATE VIEW theirs AS SELECT 1", "nothing")
    with pytest.raises(StoreError, match=r"belongs to something else \(its tables: customers\)"):
        open_store(empty)
    postgres.sql("CREATE SCHEMA mine", "nothing")
    with open_store(f"{empty}&options=-csearch_path%3Dmine") as store:
        store.create_run(new_run())
    with pytest.raises(StoreError, match="CREATE SCHEMA makes it"):
        open_store(f"{empty}&options=-csearch_path%3Dno_such")


def test_an_encoding_that_cannot_hold_every_program_is_refused(postgres: Server) -> None:
    postgres.sql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    with pytest.raises(StoreError, match="encoded as LATIN1"):
        open_store(postgres.url("latin"))


def test_a_writer_that_takes_too_long_is_reported(store: Store, postgres_url: str) -> None:
    with open_store(postgres_url) as other, other._database.write():
        store._database.wait_at_most(0.05)
        with pytest.raises(DatabaseBusy, match="another process has kept it locked"):
            store.create_run(new_run())
    assert store.create_run(new_run()).id > 0


def test_text_is_ordered_by_its_bytes(postgres: Server, store: Store) -> None:
    run = store.create_run(new_run()).id
    for number, operator in enumerate(["b", "B", "ä", "a_b", "ab", "baseline:x"]):
        store.add_program(run, program(number), operator=operator)
    with store._database.read() as connection:
        names = connection.exec_driver_sql("SELECT operator FROM programs ORDER BY 1").scalars()
        assert list(names) == ["B", "a_b", "ab", "b", "baseline:x", "ä"]
    assert [each.operator for each in store.programs(run, operator="baseline:")] == ["baseline:x"]


def test_commits_are_on_the_disk_whatever_the_server_says(
    postgres: Server, postgres_url: str
) -> None:
    postgres.sql("ALTER DATABASE evolve SET synchronous_commit = off")
    try:
        with open_store(postgres_url) as store, store._database.write() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "local"
    finally:
        postgres.sql("ALTER DATABASE evolve RESET synchronous_commit")


def search(store: Store) -> None:
    """Take every kind of step once, with results that do not depend on how often it was begun."""
    run = store.create_run(new_run()).id
    store.claim(run, "here:1")
    seed = store.add_program(run, program(0), operator="seed")
    assert seed.is_new
    store.commit_evaluation(seed.id, scored(3.0), [entering(seed.id, 0, -3.0)])
    proposal = store.begin_proposal(run, 0, "diff", 0, [seed.id], [])
    call = store.send_completion(proposal, "m", "{}", {}, 1.0)
    store.receive_completion(call, SampleReply("x = 1"), 0.5)
    lost = store.send_completion(proposal, "m", "{}", {}, 1.0)
    store.fail_completion(lost, "no")
    child = store.add_program(
        run, program(1), proposal_id=proposal, parent_ids=[seed.id], operator="diff"
    )
    assert child.is_new
    store.commit_evaluation(child.id, scored(1.0), [entering(child.id, 0, -1.0, seed.id)])
    store.reject(store.begin_proposal(run, 1, "diff", 0, [seed.id], []), "patch", "no")
    store.inbox.post_hint(run, "a hint")
    store.inbox.collect(run, 2)
    store.instructions.begin_with(run, ["try"])
    store.add_archive(run, store.archive(run).spec, [entering(child.id, 0, -1.0)], name="again")
    store.heartbeat(run)
    store.release(run, "finished", "iterations")


def held(store: Store) -> dict[str, int]:
    """Count the rows of every table."""
    with store._database.read() as connection:
        return {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
            for name in metadata.tables
            if name != "commits"
        }


@contextmanager
def cut(store: Store, at: int, what: str) -> Iterator[list[int]]:
    """End the session of the ``at``-th statement or commit before it is sent."""
    seen = [0]

    def end(connection: Connection, *_: Any) -> None:
        seen[0] += 1
        if seen[0] == at:
            connection.connection.driver_connection.close()  # type: ignore[union-attr] # is there

    event.listen(store._database._engine, what, end)
    try:
        yield seen
    finally:
        event.remove(store._database._engine, what, end)


def added(store: Store, before: dict[str, int]) -> dict[str, int]:
    """Count the rows that are new, those of blobs left out, which searches share."""
    return {name: rows - before[name] for name, rows in held(store).items() if name != "blobs"}


@pytest.mark.parametrize("what", ["before_cursor_execute", "commit"])
def test_sessions_that_end_lose_and_double_nothing(postgres_url: str, what: str) -> None:
    with open_store(postgres_url) as store:
        nothing = held(store)
        search(store)
        whole = added(store, nothing)
    step = 4 if what == "before_cursor_execute" else 1  # some of the statements are enough
    at, happened = 1, True
    while happened:
        with open_store(postgres_url) as store:
            before = held(store)
            with cut(store, at, what) as seen:
                search(store)
            happened = seen[0] >= at
            assert added(store, before) == whole, f"cut at {at}"
            run = store.runs()[-1]
            assert (run.status, run.reason) == ("finished", "iterations")
            assert store.totals(run.id).cost_usd == 0.5
            assert [elite.objective for elite in store.elites(run.id)] == [1.0]
        at += step
    assert at > 15


def test_a_commit_whose_answer_is_lost_is_found_and_not_made_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(postgres_url) as store:
        nothing = held(store)
        search(store)
        whole = added(store, nothing)
        dialect, lost = store._database._engine.dialect, [0]
        commit: Callable[[Any], None] = dialect.do_commit

        def commit_unheard(connection: Any) -> None:
            commit(connection)
            if not connection.read_only:
                lost[0] += 1
                connection.driver_connection.close()
                connection.driver_connection.execute("the answer never came")

        before = held(store)
        monkeypatch.setattr(dialect, "do_commit", commit_unheard)
        search(store)
        monkeypatch.undo()
        assert added(store, before) == whole
        assert lost[0] > 15


def test_a_server_that_stays_away_ends_the_wait(
    postgres: Server,
    postgres_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_store(postgres_url, wait_s=0.5) as store:
        run = store.create_run(new_run()).id
        postgres.stop("fast")
        try:
            with pytest.raises(StoreError, match="start the server and run again to resume"):
                store.add_program(run, program(0), operator="seed")
            with monkeypatch.context() as patched:
                patched.setattr(time, "sleep", lambda _: pytest.fail("it is waited for again"))
                with pytest.raises(StoreError, match="start the server"):
                    store.run(run)
        finally:
            postgres.start()
        assert store.add_program(run, program(0), operator="seed").is_new
    assert "trying again for" in caplog.text


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_is_waited_for(postgres: Server, postgres_url: str, mode: str) -> None:
    with open_store(postgres_url) as store:
        store.create_run(new_run("before"))
        with store._database.write() as connection:  # a commit that waits for nobody
            connection.execute(text("UPDATE runs SET reason = 'written'"))
        restarting = threading.Thread(target=postgres.restart, args=(mode,))
        restarting.start()
        for number in range(20):
            store.create_run(new_run(str(number)))
        restarting.join()
        store.create_run(new_run("after"))
        names = [run.name for run in store.runs()]
        assert names == ["before", *map(str, range(20)), "after"]
        assert store.runs()[0].reason == "written"
