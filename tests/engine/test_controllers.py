"""Several `evolve run --join` of one run: real processes on one database, killed in mid-run too."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest

from evolve.core.errors import ConfigError, StoreError
from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import evolve_here, start, write_config
from tests.engine.author import Author
from tests.engine.test_resume import check_database
from tests.fake_llm_server import FakeLLMServer
from tests.fakes import PROBLEM, write_problem
from tests.postgres_server import Server

#: Programs that each controller evaluates before any one judges more than the second number.
EACH, MOST = 10, 40
#: Nothing is judged before all controllers are there, and none of them judges all: how quickly a
#: process starts, or the test looks, decides nothing.
TOGETHER = f"""

import os
import time
from pathlib import Path

HERE = Path(__file__).parent
MINE = HERE / f"{{os.getppid()}}.judged"
judge = Parabola.score


def score(self, case, output, usage):
    if case.inputs["x"] == 0:
        with MINE.open("a") as file:
            file.write("x")
        for sign in ("begin", "go on") if MINE.stat().st_size > {MOST} else ("begin",):
            while not (HERE / sign).exists():
                time.sleep(0.01)
    return judge(self, case, output, usage)


Parabola.score = score
"""


class Controller:
    """A process that shares a run; what it says is read all the time, or it would have to wait.

    Attributes:
        evaluated: Programs that it has evaluated.
    """

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self.process = start(folder, "run", *arguments, "--join", "--json", TEST_KEY="key")
        self.evaluated = 0
        self._errors = ""
        self._readers = [Thread(target=self._count), Thread(target=self._keep)]
        for reader in self._readers:
            reader.start()

    def _count(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.evaluated += '"event": "ProgramEvaluated"' in line

    def _keep(self) -> None:
        assert self.process.stderr is not None
        self._errors = self.process.stderr.read()

    def wait_for(self, evaluations: int) -> None:
        """Wait until it has evaluated so many programs, or has ended."""
        while self.evaluated < evaluations and self.process.poll() is None:
            time.sleep(0.02)

    def end(self, code: int = 0) -> None:
        """Wait for its end."""
        try:
            found = self.process.wait(timeout=1200)
        finally:
            self.process.kill()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        assert found == code, self._errors


def write(folder: Path, **changes: object) -> Path:
    """Write a configuration for controllers that work on the parabola together."""
    write_problem(folder / "parabola", evaluate=dedent(PROBLEM["evaluate.py"]) + TOGETHER)
    return write_config(folder, **changes)


def begin(
    folder: Path, config: Path, count: int, db: str, *, kill: bool = False
) -> list[Controller]:
    """Start controllers; return them when each has done something, the last one was killed."""
    running = [Controller(folder, config, "--db", db) for _ in range(count)]
    while here(db) < count:
        assert all(each.process.poll() is None for each in running)
        time.sleep(0.1)
    (folder / "parabola" / "begin").touch()
    for each in running:
        each.wait_for(EACH)
    if kill:
        running[-1].process.kill()
        running.pop().end(-9)
    (folder / "parabola" / "go on").touch()
    return running


def here(db: str) -> int:
    """Return how many controllers have joined; none where there is no database yet."""
    with suppress(StoreError), open_reader(db) as reader:
        return sum(len(reader.controllers(run.id)) for run in reader.runs())
    return 0


def together(folder: Path, config: Path, count: int, *, db: str = "", kill: bool = False) -> None:
    """Have controllers share a run to its end; one may be killed on the way."""
    for each in begin(folder, config, count, db or str(folder / "evolve.db"), kill=kill):
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
    running = begin(tmp_path, config, 2, postgres_url)
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
