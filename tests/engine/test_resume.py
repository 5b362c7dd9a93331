"""Runs that are killed and resumed, judged from the database alone."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import numpy as np
import pytest
from sqlalchemy import Connection, text

from evolve.core.errors import RunLocked
from evolve.engine.recorder import StoreRecorder
from evolve.engine.run import run
from evolve.llm.base import Tokens
from evolve.propose.base import Context, Rejected
from evolve.store.reader import open_reader
from evolve.store.store import Store, open_store
from tests.command import evolve, start, write_config
from tests.engine.laboratory import Laboratory
from tests.fakes import write_problem
from tests.postgres_server import Server

#: For a run that is not to end by itself before it is stopped.
ENDLESS = ("--set", "stop.evaluations=1000000")


def read_until(child: subprocess.Popen[str], event: str, count: int = 1) -> None:
    """Read what a run says until it has told of so many events, or has ended."""
    assert child.stdout is not None
    while count and (line := child.stdout.readline()):
        count -= json.loads(line)["event"] == event
    assert not count, child.communicate()


def killed(folder: Path, config: Path, url: str, evaluations: int, after_s: float) -> None:
    """Begin or resume the run and kill it some time after it has evaluated so many programs."""
    with start(folder, "run", config, "--json", *ENDLESS, EVOLVE_DB=url) as child:
        read_until(child, "RunStarted")
        read_until(child, "ProgramEvaluated", evaluations)
        time.sleep(after_s)
        child.kill()
        child.communicate()


def finish(folder: Path, config: Path, url: str, **variables: str) -> int:
    """Resume the run and take it some evaluations further; return how many it has then."""
    with open_reader(url) as reader:
        budget = sum(reader.totals(1).evaluations.values()) + 30
    more = ("--set", f"stop.evaluations={budget}")
    ended = evolve(folder, "run", config, *more, EVOLVE_DB=url, **variables)
    assert ended.returncode == 0, ended.stderr
    assert "resuming run 1" in ended.stdout
    return budget


def rows_of(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


def check_database(url: str | Path, budget: int) -> None:
    """Check a finished run of the parabola from its rows."""
    with open_reader(str(url)) as reader, reader._database.read() as connection:
        (record,) = reader.runs()
        assert (record.status, record.reason) == ("finished", "evaluations")
        search = """
            SELECT p.id, e.objective, CAST(e.measures AS TEXT) FROM evaluations e JOIN programs p
            ON p.id = e.program_id WHERE e.stage = 'search' AND p.operator NOT LIKE 'baseline:%'
            ORDER BY e.id"""
        rows = rows_of(connection, search)
        assert len(rows) == budget
        each = "SELECT count(*), count(DISTINCT program_id || stage) FROM evaluations"
        ((evaluations, distinct),) = rows_of(connection, each)
        assert evaluations == distinct, "no program was evaluated twice on a stage"
        programs = "SELECT count(*), count(DISTINCT hash) FROM programs"
        ((total, distinct),) = rows_of(connection, programs)
        assert total == distinct
        assert rows_of(connection, "SELECT count(*) FROM leases") == [(0,)]
        ended = rows_of(connection, "SELECT iteration, status FROM proposals ORDER BY 1")
        assert [iteration for iteration, _ in ended] == list(range(len(ended)))
        assert {status for _, status in ended} <= {"evaluated", "duplicate", "rejected"}

        best: dict[int, tuple[float, int]] = {}
        for program_id, objective, measures in rows:
            if objective is None:
                continue
            nodes, mean = record.measures
            values = json.loads(measures)
            cell = nodes.locate(values["ast_nodes"]).cell * mean.cells
            cell += mean.locate(values["mean"]).cell
            if cell not in best or objective < best[cell][0]:
                best[cell] = objective, program_id
        held = {cell: program_id for cell, (_, program_id) in best.items()}
        assert {elite.cell: elite.program_id for elite in reader.elites(record.id)} == held
        assert dict(rows_of(connection, "SELECT cell, program FROM elites")) == held


def test_a_configuration_may_ask_for_commits_that_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[int] = []
    heartbeat = Store.heartbeat

    def look(store: Store, run_id: int) -> None:
        with store._database.write() as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
        heartbeat(store, run_id)

    monkeypatch.setattr(Store, "heartbeat", look)
    monkeypatch.setattr("evolve.engine.session.PROGRESS_S", 0.001)
    db = str(tmp_path / "evolve.db")
    first = run(write_config(tmp_path, store={"synchronous": "full"}), db=db).run_id
    assert set(levels) == {2}
    levels.clear()
    with open_store(db) as store, store._database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET status = 'interrupted'")
    assert run(write_config(tmp_path, stop={"evaluations": 25}), db=db).run_id == first, (
        "the level is not part of what makes a run the same run"
    )
    assert set(levels) == {1}


def torture(folder: Path, config: Path, url: str, kills: int, most: int) -> None:
    """Kill a run at random moments, after up to so many evaluations each; then let it finish."""
    rng = np.random.default_rng(kills)
    for _ in range(kills):
        evaluations, delay = int(rng.integers(most + 1)), float(rng.uniform(0.0, 0.2))
        killed(folder, config, url, evaluations, delay)
    check_database(url, finish(folder, config, url))


def test_a_killed_run_is_finished_by_the_same_command(tmp_path: Path, url: str) -> None:
    torture(tmp_path, write_config(tmp_path), url, kills=2, most=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sandbox", ["process", "quick"])
def test_a_run_killed_many_times_is_finished_by_the_same_command(
    tmp_path: Path, url: str, sandbox: str
) -> None:
    changes = {"sandbox": {"kind": "process"}} if sandbox == "process" else {}
    torture(tmp_path, write_config(tmp_path, slots=3, **changes), url, kills=25, most=50)


@pytest.mark.postgres
def test_a_run_outlives_restarts_of_its_server(
    tmp_path: Path, postgres_url: str, postgres: Server
) -> None:
    config = write_config(tmp_path)
    with start(tmp_path, "run", config, "--json", *ENDLESS, EVOLVE_DB=postgres_url) as child:
        assert child.stderr is not None
        for mode in ("immediate", "fast"):
            read_until(child, "ProgramEvaluated", 10)
            before = len(evaluated(postgres_url))
            postgres.stop(mode)
            while "trying again for" not in (told := child.stderr.readline()):
                assert told, "it ended"
            postgres.start()
            assert len(evaluated(postgres_url)) >= before, "nothing that was committed is lost"
        read_until(child, "ProgramEvaluated", 10)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=100)
    assert child.returncode == 130, err
    assert "there again after" in err
    check_database(postgres_url, finish(tmp_path, config, postgres_url))


def evaluated(url: str) -> list[int]:
    with open_reader(url) as reader:
        return list(reader.evaluation_times(1))


def test_only_one_process_writes_a_run(tmp_path: Path) -> None:
    config = write_config(tmp_path, stop={"evaluations": 10**6})
    with start(tmp_path, "run", config, "--json") as child:
        read_until(child, "RunStarted")
        listening = Thread(target=child.communicate)  # or it would wait, and not renew its claim
        listening.start()
        refused = evolve(tmp_path, "run", config)
        with pytest.raises(RunLocked) as caught:
            run(config, db=str(tmp_path / "evolve.db"))
        child.send_signal(signal.SIGINT)
        listening.join()
    assert child.returncode == 130
    assert refused.returncode == 3
    assert f":{child.pid}" in refused.stderr
    assert "is being written by" in refused.stderr
    assert caught.value.holder.endswith(f":{child.pid}")


def test_what_makes_two_runs_the_same(tmp_path: Path) -> None:
    db = str(tmp_path / "evolve.db")

    def search(**changes: object) -> tuple[int, str, int]:
        result = run(write_config(tmp_path, **changes), db=db)
        return result.run_id, result.reason, result.progress.evaluations

    def interrupted(run_id: int) -> None:
        with open_store(db) as store:
            store.claim(run_id, "test")
            store.release(run_id, "interrupted", "")

    assert search(stop={"evaluations": 3}) == (1, "evaluations", 3)
    assert search(stop={"evaluations": 3})[0] == 2, "a finished run is not reopened"
    interrupted(2)
    longer = {"slots": 1, "name": "longer", "stop": {"evaluations": 6}}
    assert search(**longer) == (2, "evaluations", 6), "a budget is no part of the search"
    interrupted(2)
    assert search(seed=1, stop={"evaluations": 2})[0] == 3, "a seed is"
    write_problem(tmp_path / "parabola", prompt="Something else.\n")
    assert search(stop={"evaluations": 2})[0] == 4, "what a model is told is"
    assert run(tmp_path / "search.yaml", db=db, new=True).run_id == 5


def test_money_reserved_for_a_lost_call_counts_as_spent_on_resume(lab: Laboratory) -> None:
    seed = lab.plant()
    proposal = lab.store.begin_proposal(lab.run_id, 0, "fake", 0, [seed.program_id], [])
    recorder = StoreRecorder(lab.store, lab.counters, proposal)
    recorder.sent("m", '{"messages": []}', {}, Tokens(input=30, output=70), 0.5)
    recorder.sent("m", '{"messages": []}', {}, Tokens(input=1, output=2), None)

    assert anyio.run(partial(lab.resume, cost_usd=0.4, evaluations=9)) == "cost_usd"
    assert lab.counters.cost_usd == 0.5
    assert lab.counters.unpriced_calls == 1
    assert lab.counters.tokens == 103


def test_an_iteration_begun_again_belongs_to_its_new_parents(lab: Laboratory) -> None:
    first, second = lab.plant().program_id, 7
    proposal = lab.store.begin_proposal(lab.run_id, 0, "diff", 0, [first], [])
    assert lab.store.begin_proposal(lab.run_id, 0, "rewrite", 0, [second], [first]) == proposal
    (begun,) = lab.store.recover(lab.run_id).unanswered
    assert (begun.operator, begun.parents, begun.inspirations) == ("rewrite", (second,), (first,))


def test_an_iteration_knows_what_it_knew_when_it_was_begun(lab: Laboratory) -> None:
    seed, seen = lab.plant().program_id, list[list[str]]()

    def look(context: Context, number: int) -> Rejected:
        seen.append([each.message for each in context.attempts])
        return Rejected("no_edit", f"answer {number}")

    def begin(iteration: int) -> int:
        return lab.store.begin_proposal(lab.run_id, iteration, "fake", 0, [seed], [])

    begin(0)
    lab.store.reject(begin(1), "no_edit", "between")
    begin(2)
    lab.proposer.make = look
    anyio.run(partial(lab.resume, evaluations=9, fruitless=4))
    assert seen[:2] == [[], ["between"]]
