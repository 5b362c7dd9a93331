"""Several `evolve run --join` of one run: real processes on one database, killed in mid-run too."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from evolve.core.errors import ConfigError, StoreError
from evolve.engine.events import Event, FaultOccurred, ProgramEvaluated
from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import evolve_here, write_config
from tests.engine.author import Author
from tests.engine.controllers import EACH, TOGETHER, begin
from tests.engine.test_resume import check_database
from tests.fake_llm_server import FakeLLMServer
from tests.fakes import PROBLEM, write_problem
from tests.postgres_server import Server


def write(folder: Path, **changes: object) -> Path:
    """Write a configuration for controllers that work on the parabola together."""
    write_problem(folder / "parabola", evaluate=dedent(PROBLEM["evaluate.py"]) + TOGETHER)
    return write_config(folder, **changes)


def together(folder: Path, config: Path, count: int, *, db: str = "", kill: bool = False) -> None:
    """Have controllers share a run to its end; one may be killed on the way."""
    db = db or str(folder / "evolve.db")
    for each in begin(folder / "parabola", config, count, db, kill=kill):
        each.end()


def shares(folder: Path) -> list[int]:
    with open_reader(str(folder / "evolve.db")) as reader:
        return [each.evaluations for each in reader.controllers(1)]


def check_replay(folder: Path) -> None:
    """Check that the archive is what its evaluations make in the order they were committed."""
    with (
        open_reader(str(folder / "evolve.db")) as reader,
        open_store(str(folder / "again.db")) as scratch,
    ):
        assert replay(reader, reader.run(1), scratch).differences == []


def test_two_controllers_work_on_one_run(tmp_path: Path) -> None:
    config = write(tmp_path, stop={"evaluations": 100})
    together(tmp_path, config, 2)
    check_database(tmp_path / "evolve.db", 100)
    check_replay(tmp_path)
    assert sum(shares(tmp_path)) == 100
    assert min(shares(tmp_path)) >= EACH
    with pytest.raises(StoreError, match=r"is finished \(evaluations\), so there is nothing to"):
        run(config, db=str(tmp_path / "evolve.db"), join=True)
    listed = evolve_here(tmp_path, "show", "1")
    assert "controllers" in listed.stdout


def test_a_killed_controllers_work_is_finished_by_the_other(tmp_path: Path) -> None:
    config = write(tmp_path, slots=3, stop={"evaluations": 120})
    together(tmp_path, config, 2, kill=True)
    check_database(tmp_path / "evolve.db", 120)
    check_replay(tmp_path)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        found = {each.status for each in reader.controllers(1)}
    assert found == {"finished", "lost"}


def test_a_controller_whose_work_others_took_over_joins_again(tmp_path: Path) -> None:
    config = write_config(tmp_path, stop={"evaluations": 60})
    url = str(tmp_path / "evolve.db")
    troubles: list[str] = []
    evaluated = 0

    def observe(event: Event) -> None:
        nonlocal evaluated
        if isinstance(event, FaultOccurred):
            troubles.append(event.message)
        evaluated += isinstance(event, ProgramEvaluated)
        if evaluated == 20 and isinstance(event, ProgramEvaluated):
            later = time.time() + 31  # the run's own heartbeats are that old by then
            with open_store(url, clock=lambda: later) as other:
                other.join(1, "other")
                other.recover(1)

    run(config, db=url, join=True, observers=[observe])
    (trouble,) = troubles
    assert "others have taken over its work; it has to join again. Joining again" in trouble
    check_database(url, 60)
    check_replay(tmp_path)
    with open_reader(url) as reader:
        statuses = [each.status for each in reader.controllers(1)]
    assert statuses == ["lost", "interrupted", "finished"]


def test_a_run_in_strict_order_is_not_shared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--join needs `order: arrival`"):
        run(write_config(tmp_path, order="strict"), db=str(tmp_path / "evolve.db"), join=True)


def test_controllers_share_a_budget_of_calls(tmp_path: Path) -> None:
    with FakeLLMServer(Author(1000)) as server:
        config = write(tmp_path, **of_models(server), stop={"calls": 24})
        together(tmp_path, config, 2)
        assert len(server.calls) == 24
    check_calls(tmp_path, 24)
    check_replay(tmp_path)


def of_models(server: FakeLLMServer) -> dict[str, object]:
    model = {
        "id": "openai/tiny",
        "base_url": server.openai_url,
        "api_key_env": "TEST_KEY",
        "price": {"input": 10.0, "output": 100.0},
        "concurrency": 3,
    }
    return {
        "models": [model],
        "sandbox": {"kind": "process", "allow_untrusted": True},
        "proposers": [{"kind": "diff", "options": {"mends": 0}}, {"kind": "rewrite"}],
    }


def check_calls(folder: Path, most: int) -> None:
    with open_reader(str(folder / "evolve.db")) as reader:
        totals = reader.totals(1)
        assert sum(totals.completions.values()) == most
        assert totals.completions.get("sent", 0) == 0
        assert reader.run(1).status == "finished"
    with closing(sqlite3.connect(folder / "evolve.db")) as connection:
        twice = "SELECT count(*), count(DISTINCT program_id || stage) FROM evaluations"
        evaluations, distinct = connection.execute(twice).fetchone()
        assert evaluations == distinct
        assert connection.execute("SELECT count(*) FROM leases").fetchone() == (0,)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_controllers_one_of_them_killed(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        slots=2,
        islands={"count": 3, "migration": {"interval": 20}, "reset": {"interval": 90}},
        stop={"evaluations": 600},
    )
    together(tmp_path, config, 3, kill=True)
    check_replay(tmp_path)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert sum(reader.totals(1).evaluations.values()) == 600
        iterations = [each.iteration for each in reader.proposals(1)]
        assert iterations == list(range(len(iterations)))
        assert {each.status for each in reader.proposals(1)} <= {
            "evaluated",
            "duplicate",
            "rejected",
        }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_controllers_calls_are_paid_for_once(tmp_path: Path) -> None:
    with FakeLLMServer(Author(1000)) as server:
        config = write(tmp_path, **of_models(server), slots=2, stop={"calls": 300})
        together(tmp_path, config, 3, kill=True)
        assert len(server.calls) <= 300
    check_calls(tmp_path, 300)
    check_replay(tmp_path)


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_controllers_on_one_server_survive_its_restart(
    tmp_path: Path, postgres: Server, postgres_url: str
) -> None:
    config = write(tmp_path, stop={"evaluations": 240})
    running = begin(tmp_path / "parabola", config, 2, postgres_url)
    for mode in ("immediate", "fast", "immediate"):
        running[0].wait_for(running[0].evaluated + 25)
        postgres.stop(mode)
        time.sleep(0.3)
        postgres.start()
    for each in running:
        each.end()
    check_run(tmp_path, postgres_url, 240)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_controllers_on_one_server_make_2000_evaluations(
    tmp_path: Path, postgres_url: str
) -> None:
    config = write(
        tmp_path,
        slots=2,
        islands={"count": 3, "migration": {"interval": 40}},
        stop={"evaluations": 2000},
    )
    together(tmp_path, config, 2, db=postgres_url)
    check_run(tmp_path, postgres_url, 2000)


def check_run(folder: Path, url: str, budget: int) -> None:
    """Check from the rows that nothing was lost or made twice, and that it can be made again."""
    with open_reader(url) as reader, open_store(str(folder / "again.db")) as scratch:
        record = reader.run(1)
        assert (record.status, record.reason) == ("finished", "evaluations")
        assert sum(reader.totals(1).evaluations.values()) == budget
        proposals = reader.proposals(1)
        assert [each.iteration for each in proposals] == list(range(len(proposals)))
        assert {each.status for each in proposals} <= {"evaluated", "duplicate", "rejected"}
        assert sum(each.status == "evaluated" for each in proposals) == budget - 1
        assert sum(each.evaluations for each in reader.controllers(1)) == budget
        assert replay(reader, record, scratch).differences == []
