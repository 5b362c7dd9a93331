"""Runs made again from what they stored, and the traces that tampering leaves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evolve.core.errors import StoreError
from evolve.engine.replay import replay
from evolve.engine.replayed import Replayed
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import evolve_here, start, write_config
from tests.engine.author import Author
from tests.engine.test_end_to_end_models import configure
from tests.fake_llm_server import FakeLLMServer
from tests.fakes import write_problem

BOTH = pytest.mark.parametrize("order", ["arrival", "strict"])
STORED = """
from pathlib import Path
from evolve import Case, Evaluator, Score

OFFSET = float((Path(__file__).parent / "offset.txt").read_text())


class Parabola(Evaluator):
    def cases(self, stage):
        yield Case({"x": 2})

    def score(self, case, output, usage):
        error = abs(output - 5)
        return Score(error + (OFFSET if error > 3 else 0), {"mean": min(output, 20)})
"""
CARELESS = """
from evolve.core.program import Program
from evolve.propose.base import Candidate


class Careless:
    name = "careless"
    arbitrary_code = False

    async def propose(self, context):
        source = context.parent.program.files["seed.py"]
        number = int(context.rng.integers(2, 99))
        careless = source.replace("def f(x)", "def g(x)") if number % 2 else source
        changed = careless.replace("return ", f"return {number} + ")
        return Candidate(Program({"seed.py": changed}), (context.parent.id,))
"""


def again(folder: Path, *, re_evaluate: bool = False, scratch: str = "") -> Replayed:
    """Replay the newest run."""
    place = folder / (scratch or f"{len(list(folder.iterdir()))}.db")
    with open_reader(str(folder / "evolve.db")) as reader, open_store(str(place)) as store:
        return replay(reader, reader.run(), store, re_evaluate=re_evaluate)


def tamper(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "evolve.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


@BOTH
def test_a_run_with_a_model_is_made_again_without_it(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789-secret")
    with FakeLLMServer(Author()) as server:
        proposers = [{"kind": "diff", "weight": 2}, {"kind": "rewrite"}, {"kind": "genetic"}]
        stop = {"evaluations": 25}
        config = configure(
            tmp_path, server, stop=stop, proposers=proposers, slots=3, proposals=4, order=order
        )
        run(config, db=str(tmp_path / "evolve.db"))
    monkeypatch.delenv("TEST_KEY")
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        totals, digest = reader.totals(1), reader.archive_digest(1)
    report = again(tmp_path, scratch="again.db")
    assert (report.same, report.differences) == (True, [])
    assert report.digest == report.digest_again == digest
    assert report.iterations == totals.proposals
    assert report.replies == report.prompts == totals.completions["received"]
    assert report.programs == 24
    assert report.draws == (totals.proposals if order == "strict" else 0)
    with open_reader(str(tmp_path / "again.db")) as reader:
        found = reader.totals(1)
        assert reader.archive_digest(1) == digest
    assert (found.rejected, found.duplicates) == (totals.rejected, totals.duplicates)


@BOTH
def test_what_was_refused_before_an_evaluation_is_refused_again(tmp_path: Path, order: str) -> None:
    (tmp_path / "careless.py").write_text(CARELESS)
    proposers = [{"kind": "./careless.py:Careless"}]
    config = write_config(tmp_path, order=order, proposers=proposers)
    run(config, db=str(tmp_path / "evolve.db"))
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert reader.totals(1).rejected["no_entrypoint"] > 3
    report = again(tmp_path)
    assert (report.same, report.differences) == (True, [])


@BOTH
def test_what_was_changed_in_the_database_is_found(tmp_path: Path, order: str) -> None:
    config = write_config(tmp_path, order=order, stop={"evaluations": 30})
    run(config, db=str(tmp_path / "evolve.db"))
    assert again(tmp_path).same
    elite = "(SELECT program_id FROM archive_events WHERE fitness < 0 ORDER BY id DESC LIMIT 1)"
    forged = (
        "UPDATE evaluations SET objective = {} WHERE stage = 'search' AND program_id = " + elite
    )
    tamper(tmp_path, forged.format("objective * 1024"))
    assert again(tmp_path).differences
    tamper(tmp_path, forged.format("objective / 1024"))
    assert again(tmp_path).same
    tamper(tmp_path, "UPDATE runs SET config = json_set(config, '$.seed', 7)")
    report = again(tmp_path)
    assert report.differences[0].iteration == 0
    assert report.programs < 29 or len(report.differences) > 3


def test_scores_that_moved_are_listed(tmp_path: Path) -> None:
    problem = write_problem(tmp_path / "parabola", evaluate=STORED)
    (problem / "offset.txt").write_text("0")
    run(write_config(tmp_path, stop={"evaluations": 20}), db=str(tmp_path / "evolve.db"))
    report = again(tmp_path, re_evaluate=True)
    assert (report.same, report.moved) == (True, [])
    assert report.evaluated_again == 21, "the baseline too"
    (problem / "offset.txt").write_text("0.5")
    told = evolve_here(tmp_path, "replay", "--re-evaluate", "--json")
    moved = json.loads(told.stdout)["moved"]
    assert (told.returncode, json.loads(told.stdout)["differences"]) == (1, [])
    assert 0 < len(moved) < 21
    assert all(each["objective_again"] == each["objective"] + 0.5 for each in moved)

    (problem / "evaluate.py").write_text(STORED + "\n# another version\n")
    with pytest.raises(StoreError, match="has changed since"):
        again(tmp_path, re_evaluate=True)
    told = evolve_here(tmp_path, "replay")
    assert told.returncode == 0, "from the stored evaluations it still repeats"
    assert "stored scores folded in" in told.stdout


def test_a_run_under_way_is_not_replayed(tmp_path: Path) -> None:
    config = write_config(tmp_path, stop={"evaluations": 10**6})
    with start(tmp_path, "run", config, "--json") as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(StoreError, match="is still being written by"):
            again(tmp_path)
        child.kill()
        child.communicate()
