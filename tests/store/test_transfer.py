"""Runs are carried from one database to another whole, equal, and able to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Integer, delete, select, update

from evolve.core.errors import RunLocked, StoreError
from evolve.core.evaluation import Sample
from evolve.store.database import Database
from evolve.store.opening import open_database
from evolve.store.reader import Reader
from evolve.store.schema import (
    blobs,
    completions,
    controllers,
    metadata,
    notices,
    proposals,
    runs,
)
from evolve.store.store import Store, open_store
from evolve.store.transfer import copy_of, copy_run, of_runs, refers_to, run_ids
from tests.store.samples import EVALUATOR, entering, new_run, program, propose, scored

NOW = 10.0


def fill(store: Store, name: str = "sample") -> int:
    """Leave a run as a killed process would: something of every table, work in flight."""
    run = store.create_run(new_run(name)).id
    store.claim(run, "here:1")
    store.inbox.post_hint(run, "a hint")
    store.inbox.post_program(run, program(77), "mine.py")
    store.instructions.begin_with(run, ["try"])
    seed = store.add_program(run, program(0), operator="seed").id
    store.add_sample(seed, Sample(0, scored(4.0)), 1.0)
    built = scored(4.0, construction='{"easy": [1, 2]}')
    store.commit_evaluation(seed, built, [entering(seed, 5, -4.0)])
    child = propose(store, run, 0, 1, seed)
    like = scored(1.0, behaves_like=seed, copied_from=12_345)
    store.commit_evaluation(child, like, [entering(child, 5, -1.0, seed)])
    other = propose(store, run, 1, 2, child)
    store.commit_evaluation(other, scored(1.0, copied_from=1), [entering(other, 7, -1.0)])
    propose(store, run, 2, 3, other)  # no evaluation yet
    proposal = store.begin_proposal(run, 3, "diff", 0, [other], [seed, child])
    store.send_completion(proposal, "m", '{"messages": []}', {}, 0.5)
    return run


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "source.db"), clock=lambda: 5.0) as store:
        yield store


@pytest.fixture
def target(url: str) -> Iterator[Database]:
    with closing(open_database(url, create=True, readonly=False)) as opened:
        yield opened


def end(store: Store, run: int) -> None:
    """Have nobody write a run, as after its process died."""
    del store._claims[run]
    with store._database.write() as connection:
        connection.execute(update(runs).where(runs.c.id == run).values(expires_at=None))


def parts_of(reader: Reader, program_id: int) -> tuple[object, ...]:
    """Return what a copy has of a program as it is, whatever else it was taken over from."""
    found = reader.program(program_id)
    scores = [(each.score, each.cases, each.stdout, each.usage) for each in found.evaluations]
    return found.entry, found.program, scores, found.inspirations, found.completions


def test_a_copy_is_equal_and_keeps_its_numbers_where_they_are_free(
    source: Store, target: Database
) -> None:
    run = fill(source)
    end(source, run)
    copied = copy_run(source._database, target, run, NOW)
    assert (copied.run_id, copied.copy_id, copied.renumbered) == (run, run, 0)
    tables = {table.name for table in of_runs()} - {"controllers", "notices"}
    assert set(copied.rows) == tables, "all but those of a run that several processes share"
    assert min(copied.rows.values()) > 0, "something of every table was carried"
    here = Reader(target, clock=lambda: 5.0)
    for ask in (
        lambda reader: reader.run(run),
        lambda reader: reader.totals(run),
        lambda reader: reader.elites(run),
        lambda reader: reader.archive_digest(run),
        lambda reader: reader.proposals(run),
        lambda reader: [parts_of(reader, each.id) for each in reader.programs(run)],
        lambda reader: reader.samples(1, "search", EVALUATOR),
        lambda reader: reader.inbox.posts(run),
    ):
        stored, again = ask(source), ask(here)
        if stored == source.run(run):
            stored = replace(stored, holder=None)
        assert again == stored


#: Columns of whole numbers that are no keys of rows.
COUNTS = {
    "runs": {"seed", "inserted", "archive"},
    "proposals": {"iteration", "island", "inserted", "instruction"},
    "instructions": {"number"},
    "completions": {
        *("tokens_input", "tokens_cached", "tokens_output", "tokens_reasoning"),
        *("tokens_written", "tokens_assumed"),
    },
    "programs": {"generation", "island"},
    "parents": {"position"},
    "inbox": {"first", "last"},
    "evaluations": {"samples", "wall_ns", "cpu_ns", "peak_memory_bytes"},
    "samples": {"repeat", "wall_ns", "cpu_ns", "peak_memory_bytes"},
    "case_results": {"position", "wall_ns", "cpu_ns", "peak_memory_bytes"},
    "archives": {"number"},
    "controllers": {"evaluations", "inherited"},
    "notices": {"subject"},  # by its kind, see `SUBJECTS`
    "archive_events": {"island", "cell", "archive", "samples"},
}


def test_every_whole_number_is_a_count_or_a_key_that_rises() -> None:
    """Who adds a column that names rows says so in `UNDECLARED`, or gives it a foreign key."""
    for table in of_runs():
        numbers = {
            column.name
            for column in table.columns
            if isinstance(column.type, Integer) and refers_to(column) is None
        }
        assert numbers == COUNTS.get(table.name, set()), table.name


def test_a_copy_goes_on_where_the_run_stopped(source: Store, target: Database, url: str) -> None:
    run = fill(source)
    end(source, run)
    copy_run(source._database, target, run, NOW)
    with open_store(url) as store:
        store.claim(run, "there:2")
        recovery = store.recover(run)
        assert (len(recovery.pending), len(recovery.unanswered)) == (1, 1)
        assert recovery.next_iteration == 4
        added = store.add_program(run, program(9), operator="diff")
        assert added.is_new
        assert added.id == 1 + max(recovery.pending), "numbers go on"
        store.commit_evaluation(added.id, scored(0.5), [entering(added.id, 8, -0.5)])
        assert store.run(run).live


def test_where_numbers_are_taken_all_rise_by_as_much(source: Store, target: Database) -> None:
    first, second = fill(source, "first"), fill(source, "second")
    end(source, first)
    end(source, second)
    one = copy_run(source._database, target, second, NOW)
    assert (one.copy_id, one.renumbered) == (second, 0)
    two = copy_run(source._database, target, first, NOW)
    assert (two.copy_id, two.renumbered) == (3, 8)
    here = Reader(target)
    parents = [each.parents for each in here.programs(3)]
    assert parents == [(), (9,), (10,), (11,)]
    begun = here.proposals(3)[-1]
    assert (begun.parents, begun.inspirations) == ((11,), (9, 10))
    own = [each.evaluations[0] for each in map(here.program, (10, 11))]
    assert [(each.copied_from, each.behaves_like) for each in own] == [(-12_345, 9), (7, None)]
    assert here.archive_digest(3) == source.archive_digest(first)
    assert here.programs(3)[0].hash == here.programs(second)[0].hash
    with target.read() as connection:
        texts = connection.exec_driver_sql("SELECT count(*) FROM blobs").scalar()
    with source._database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM blobs").scalar() == texts


def test_what_controllers_told_each_other_is_about_the_same_things(
    source: Store, target: Database, url: str
) -> None:
    with open_store(url) as other:
        fill(other, "theirs")
    run = source.create_run(new_run("shared")).id
    sharing = source.join(run, "here:1")
    seed = source.add_program(run, program(0), operator="seed").id
    proposal = source.begin_proposal(run, 0, "diff", 0, [seed], [])
    call = source.send_completion(proposal, "m", "{}", {}, 0.5)
    sharing.tell("evaluated", seed)
    sharing.tell("begun", proposal)
    sharing.tell("called", call)
    sharing.tell("stopping", 0, "evaluations")
    source.release(run, "interrupted", "")
    copied = copy_run(source._database, target, run, NOW)
    assert (copied.copy_id, copied.renumbered) == (2, 4)
    with target.read() as connection:
        subjects = list(connection.scalars(select(notices.c.subject).order_by(notices.c.id)))
        begun = select(proposals.c.id, proposals.c.controller).where(proposals.c.run_id == 2)
        ((number, owner),) = connection.execute(begun).all()
        calls = select(completions.c.id).where(completions.c.proposal_id == number)
        assert subjects == [seed + 4, number, connection.scalar(calls), 0]
        assert [owner] == list(connection.scalars(select(controllers.c.id)))


def test_what_is_there_is_refused(source: Store, target: Database) -> None:
    run = fill(source)
    with pytest.raises(RunLocked, match="is being written by here:1; stop that process first"):
        copy_run(source._database, target, run, 6.0)
    end(source, run)
    assert copy_of(source._database, target, run) is None
    copy_run(source._database, target, run, NOW)
    assert copy_of(source._database, target, run) == run
    assert run_ids(target) == [run]
    for goal in (target, source._database):
        with pytest.raises(StoreError, match=f"run {run} is there already, as run {run}"):
            copy_run(source._database, goal, run, NOW)
    with pytest.raises(StoreError, match="there is no run 9; `evolve ls`"):
        copy_run(source._database, target, 9, NOW)


def test_a_run_whose_last_heard_controller_died_is_others_still(
    source: Store, target: Database
) -> None:
    run = source.create_run(new_run()).id
    source.join(run, "here:1")
    with source._database.write() as connection:  # until the next heartbeat of the one left
        connection.execute(update(runs).values(holder="there:2", expires_at=0.0))
    with pytest.raises(RunLocked, match="is being written by here:1"):
        copy_run(source._database, target, run, 6.0)


def test_a_copy_that_is_not_equal_is_not_kept(
    source: Store, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fill(source)
    end(source, run)

    def lose(connection: object, table: object) -> None:
        if table is metadata.tables["case_results"]:
            connection.execute(delete(table).where(table.c.position == 1))  # type: ignore[attr-defined]

    with monkeypatch.context() as patched:
        patched.setattr(target, "numbered", lose)
        with pytest.raises(StoreError, match="nothing was kept"):
            copy_run(source._database, target, run, NOW)
    assert run_ids(target) == []
    with source._database.write() as connection:
        connection.execute(update(blobs).where(blobs.c.id == 2).values(data=b"rubbish"))
    with pytest.raises(StoreError, match="is damaged"):
        copy_run(source._database, target, run, NOW)
    assert run_ids(target) == []
