"""A changed evaluator is noticed, and its run goes on from programs evaluated anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.core.errors import StoreError
from evolve.engine.replay import replay
from evolve.engine.rescore import rescore
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import evolve_here, write_config
from tests.fakes import PROBLEM, write_problem

#: The same evaluator, but errors count twice.
STRICTER = PROBLEM["evaluate.py"].replace("Score(error,", "Score(2 * error,")


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Return the configuration of a run that was interrupted, and whose evaluator then changed."""
    config = write_config(tmp_path, stop={"evaluations": 40})
    run(config, db=str(tmp_path / "evolve.db"))
    with open_store(str(tmp_path / "evolve.db")) as store:
        store.claim(1, "test")
        store.release(1, "interrupted", "")
    write_problem(tmp_path / "parabola", evaluate=STRICTER)
    return config


def test_a_changed_evaluator_is_noticed(stopped: Path) -> None:
    db = str(stopped.parent / "evolve.db")
    with pytest.raises(StoreError, match=r"evaluator has changed since(?s:.*)evolve rescore 1"):
        run(stopped, db=db)
    assert run(stopped, db=db, new=True).run_id == 2
    assert run(stopped, db=db).run_id == 3, "the newest run of this configuration is finished"


def test_a_run_goes_on_under_the_new_version_from_its_elites(stopped: Path) -> None:
    folder = stopped.parent
    with open_store(str(folder / "evolve.db")) as store:
        before, elites = store.archive_digest(1), store.elites(1)
        report = rescore(store, store.run(1))
        assert (report.run_id, report.new_run_id) == (1, 2)
        assert report.programs == len({elite.program_id for elite in elites} | {1})
        assert report.left == 40 - report.programs
        assert report.best is not None
        assert report.new_best == 2 * report.best
        old, new = store.run(1), store.run(2)
        assert new.provenance["rescored_from"] == 1
        assert (new.status, old.config_hash) == ("interrupted", new.config_hash)
        assert (old.problem_hash, new.problem_hash) == (report.version, report.new_version)
        for entry in store.programs(2):
            there = store.program(entry.hash, 1).entry
            assert entry.objective is not None
            assert entry.objective == 2 * (there.objective or 0)
            assert (entry.generation, entry.operator) == (there.generation, there.operator)
        assert all(len(store.lineage(e.id)) > 1 for e in store.programs(2) if e.operator != "seed")
        with pytest.raises(StoreError, match="nothing to rescore"):
            rescore(store, new)

    result = run(stopped, db=str(folder / "evolve.db"))
    assert (result.run_id, result.progress.evaluations) == (2, 40)
    with open_reader(str(folder / "evolve.db")) as reader, open_store(str(folder / "x.db")) as x:
        assert reader.archive_digest(1) == before, "the old run is as it was"
        assert replay(reader, reader.run(2), x).differences == []


def test_a_rescoring_that_was_cut_short_carries_on(stopped: Path) -> None:
    calls = stopped.parent / "calls"
    first = "                if not isinstance"
    counting = f"                open({str(calls)!r}, 'a').write('x')\n{first}"
    write_problem(stopped.parent / "parabola", evaluate=STRICTER.replace(first, counting))
    with open_store(str(stopped.parent / "evolve.db")) as store:
        whole = rescore(store, store.run(1), everything=True)
        asked = len(calls.read_text())
        again = rescore(store, store.run(1), everything=True)
        assert again.new_run_id == whole.new_run_id
        assert (whole.programs, again.programs, whole.left) == (40, 40, 0)
        assert len(calls.read_text()) == asked, "nothing is evaluated twice"


def test_the_command_says_what_moved(stopped: Path) -> None:
    told = evolve_here(stopped.parent, "rescore", "1", "--top", "5")
    assert told.returncode == 0, told.stderr
    assert "run 2 begins with" in told.stdout
    assert "scores moved" in told.stdout
    report = json.loads(evolve_here(stopped.parent, "rescore", "1", "--json").stdout)
    assert report["new_run_id"] == 2
