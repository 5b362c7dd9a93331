"""Hints and programs of people, in runs that are live, killed, or written by nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evolve.core.errors import StoreError
from evolve.core.program import Program
from evolve.engine.events import Event, ProgramEvaluated, ProposalRejected
from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.engine.submit import evaluate_submitted
from evolve.propose.base import Candidate, Context, Rejected
from evolve.store.store import open_store
from tests.command import evolve_here, write_config
from tests.engine.laboratory import Laboratory
from tests.fakes import SEED, better, numbered


@pytest.mark.anyio
async def test_a_live_run_tells_hints_and_takes_programs(lab: Laboratory) -> None:
    told: list[tuple[str, ...]] = []

    def make(context: Context, count: int) -> Candidate | Rejected:
        told.append(context.hints)
        if count == 3:
            lab.store.inbox.post_hint(lab.run_id, "smaller!")
            lab.store.inbox.post_program(lab.run_id, numbered(-500), "mine.py")
        return better(context, count)

    lab.proposer.make = make
    await lab.search(evaluations=12)
    assert told[0] == ()
    assert told[-1] == ("smaller!",)
    (mine,) = lab.store.programs(lab.run_id, operator="submit")
    assert (mine.objective, mine.summary) == (-500, "written by hand: mine.py")
    assert mine.parents == (1,), "it keeps to the seed program's frame"
    assert lab.store.best(lab.run_id) == mine


@pytest.mark.anyio
async def test_a_program_taken_by_a_killed_iteration_is_taken_again(lab: Laboratory) -> None:
    lab.plant()
    lab.store.inbox.post_program(lab.run_id, numbered(-500), "mine.py")
    lab.store.inbox.post_hint(lab.run_id, "smaller!")
    lab.history.mail.collect(0)  # and killed before the proposal began
    await lab.resume(evaluations=2)
    (mine,) = lab.store.programs(lab.run_id, operator="submit")
    assert mine.iteration == 0

    lab.store.inbox.post_program(lab.run_id, numbered(-600), "more.py")
    lab.history.mail.collect(1)
    lab.store.begin_proposal(lab.run_id, 1, "submit", 0, [1], [])  # and killed right then
    await lab.resume(evaluations=3)
    assert [p.iteration for p in lab.store.programs(lab.run_id, operator="submit")] == [0, 1]


def searched(folder: Path, **changes: object) -> str:
    """Run the parabola to its end and return the database."""
    db = str(folder / "evolve.db")
    run(write_config(folder, stop={"evaluations": 4}, **changes), db=db)
    return db


def posted(db: str, *bodies: str) -> list[Event]:
    """Submit programs to the finished run and return what came of them."""
    events: list[Event] = []
    with open_store(db) as store:
        record = store.run()
        for body in bodies:
            text = SEED.replace("0.5 * x + 2.0", body)
            store.inbox.post_program(record.id, Program({"seed.py": text}), "mine.py")
        assert evaluate_submitted(store, record, (events.append,)) == len(bodies)
        after = store.run()
        assert replace(after, elapsed_s=0, ended_at=None, holder=None) == replace(
            record, elapsed_s=0, ended_at=None, holder=None
        ), "the run is as finished as before"
    return events


def test_a_program_for_a_finished_run_is_evaluated_at_once(tmp_path: Path) -> None:
    db = searched(tmp_path)
    events = posted(db, "x * x + 1", "x *", "x * x + 1  # again")
    assert [type(event) for event in events] == [
        ProgramEvaluated,
        ProposalRejected,
        ProposalRejected,
    ]
    assert [e.reason for e in events if isinstance(e, ProposalRejected)] == ["syntax", "duplicate"]
    with open_store(db) as store:
        best = store.best(1)
        assert best is not None
        assert (best.objective, best.operator) == (0.0, "submit")
        assert best.id in {elite.program_id for elite in store.elites(1)}


def test_a_strict_run_takes_programs_itself_and_repeats_with_them(tmp_path: Path) -> None:
    db = str(tmp_path / "evolve.db")

    def post_once(event: Event) -> None:
        if isinstance(event, ProgramEvaluated) and event.program_id == 2:
            with open_store(db) as store:
                text = SEED.replace("0.5 * x + 2.0", "x * x + 1.5")
                store.inbox.post_program(1, Program({"seed.py": text}), "mine.py")

    config = write_config(tmp_path, order="strict", stop={"evaluations": 20})
    run(config, db=db, observers=[post_once])
    with open_store(db) as store, open_store(str(tmp_path / "again.db")) as scratch:
        assert len(store.programs(1, operator="submit")) == 1
        report = replay(store, store.run(), scratch)
        assert report.differences == []
        (tmp_path / "late.py").write_text(SEED)
        refused = evolve_here(tmp_path, "submit", "latest", tmp_path / "late.py", "--db", db)
        assert refused.returncode == 3
        assert "run 1 is finished" in refused.stderr
        assert not store.inbox.waiting(1)
        store.inbox.post_program(1, Program({"seed.py": SEED}), "late.py")
        with pytest.raises(StoreError, match="is in strict order"):
            evaluate_submitted(store, store.run())
