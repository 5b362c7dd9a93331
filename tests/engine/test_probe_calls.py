"""Calls made to find out: committed before they are used, within the caps, and no search."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.file import Loaded, load_run_config
from evolve.config.models import RunConfig
from evolve.core.errors import CallRefused, ConfigError, StoreError
from evolve.engine.plan import Plan, plan
from evolve.engine.run import run
from evolve.store.reader import open_reader
from tests.command import start, write_config
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure

KEY = "sk-test-0123456789-secret"
PRICE = {"input": 1.0, "output": 10.0}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def answer(call: Call) -> Reply:
    body = f"# EVOLVE-BLOCK-START\ndef f(x):\n    return {id(call)}\n# EVOLVE-BLOCK-END\n"
    return Reply(f"```python\n{body}```", tokens=(100, 40))


def configured(folder: Path, server: FakeLLMServer, **changes: Any) -> Loaded[RunConfig]:
    model = {
        "id": "openai/tiny",
        "base_url": server.openai_url,
        "api_key_env": "TEST_KEY",
        "price": PRICE,
        "retries": 0,
        "max_tokens": 500,
    }
    settings = {"models": [model], "proposers": [{"kind": "rewrite"}, {"kind": "diff"}]}
    return load_run_config(write_config(folder, **{**settings, **changes}))


def test_what_was_asked_to_find_out_is_a_probe_and_no_search(tmp_path: Path) -> None:
    db = str(tmp_path / "evolve.db")
    with FakeLLMServer(answer) as server:
        loaded = configured(tmp_path, server, stop={"evaluations": 3})
        found = plan(loaded, db, calls=3)
        assert (found.calls, len(server.calls), found.run_id, found.stopped) == (3, 3, 1, "")
        assert found.spent_usd == pytest.approx(3 * (100e-6 + 40 * 10e-6))
        again = plan(loaded, db, calls=1)
        assert (again.run_id, again.calls, len(server.calls)) == (2, 1, 4), "it asks when told to"
        run(loaded, db=db)
    with open_reader(db) as reader:
        assert [each.kind for each in reader.runs()] == ["probe", "probe", "search"]
        assert reader.run().id == reader.run(loaded.path.stem).id == 3
        by_operator = reader.spending(1, "operator")
        assert {each.group: each.calls for each in by_operator} == {"rewrite": 2, "diff": 1}
        assert [each.group for each in reader.spending(1, "outcome")] == ["probed"]
        assert sum(each.cost_usd for each in by_operator) == pytest.approx(found.spent_usd)
        assert not reader.failures(1)
        assert reader.search("3").id == 3
        with pytest.raises(StoreError, match=r"run 1 is no search: .* `evolve show 1`"):
            reader.search("1")
        past = reader.past_yield(reader.run(3).problem_hash, "rewrite")
        assert past is None or past.fruitful > 0, "probes are no fruitless proposals"
    command = CliRunner()
    shown = command.invoke(app, ["show", "1", "--db", db]).stdout
    assert "probe 1 (search)" in shown
    assert "spending by model" in shown
    listed = json.loads(command.invoke(app, ["ls", "--db", db, "--json"]).stdout)
    assert [row["kind"] for row in listed] == ["probe", "probe", "search"]
    assert isinstance(command.invoke(app, ["heatmap", "1", "--db", db]).exception, StoreError)


@pytest.mark.parametrize(
    ("stop", "calls", "why"),
    [({"calls": 2}, 2, "the cap of 2"), ({"tokens": 30, "evaluations": 9}, 0, "the cap of 30")],
)
def test_caps_hold_for_calls_to_find_out(
    tmp_path: Path, stop: dict[str, float], calls: int, why: str
) -> None:
    with FakeLLMServer(answer) as server:
        found = plan(configured(tmp_path, server, stop=stop), str(tmp_path / "e.db"), calls=5)
        assert len(server.calls) == found.calls == calls
    assert why in found.stopped


def test_no_call_to_find_out_could_pass_the_cap_in_money(tmp_path: Path) -> None:
    db, cap = str(tmp_path / "evolve.db"), 0.0076
    with FakeLLMServer(answer) as server:
        found = plan(configured(tmp_path, server, stop={"cost_usd": cap}), db, calls=9)
        assert len(server.calls) == found.calls
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute("SELECT cost_usd, reserved_usd FROM completions").fetchall()
    spent, dearest = sum(cost for cost, _ in rows), max(reserved for _, reserved in rows)
    assert 0 < found.calls < 9
    assert spent == found.spent_usd
    assert cap - dearest < spent <= cap
    assert "the cap of $0.0076" in found.stopped


def test_nothing_is_asked_for_a_run_that_nothing_bounds(tmp_path: Path) -> None:
    db = tmp_path / "evolve.db"
    with FakeLLMServer(answer) as server:
        with pytest.raises(ConfigError, match="nothing bounds this run"):
            plan(configured(tmp_path, server, stop={"target": 0.0}), str(db), calls=1)
        assert not server.calls
    assert not db.exists()


def test_a_model_that_refuses_leaves_a_record_and_the_next_try_goes_on(tmp_path: Path) -> None:
    db = str(tmp_path / "evolve.db")
    script = [answer(Call("", {}, {})), failure(401), answer(Call("", {}, {}))]
    with FakeLLMServer(script) as server:
        loaded = configured(tmp_path, server, stop={"evaluations": 3})
        with pytest.raises(CallRefused):
            plan(loaded, db, calls=2)
        found = plan(loaded, db, calls=2)
        assert len(server.calls) == found.calls == 3
    with open_reader(db) as reader:
        assert reader.totals(1).completions == {"received": 2, "failed": 1}
        assert reader.run(1).status == "finished"


def test_an_answer_survives_the_kill_of_its_asker(tmp_path: Path) -> None:
    """The second reply never comes, the process is killed; then only that one is asked for."""
    db = tmp_path / "evolve.db"
    stalled: list[Call] = []

    def stall_second(call: Call) -> Reply:
        if len(server.calls) == 2:
            stalled.append(call)
            return Reply("", delay_s=60)
        return answer(call)

    with FakeLLMServer(stall_second) as server:
        loaded = configured(tmp_path, server, stop={"evaluations": 3, "calls": 3})
        words = ("plan", loaded.path, "--calls", "2", "--db", db)
        with start(tmp_path, *words, TEST_KEY=KEY) as child:
            while not stalled:
                assert child.poll() is None
                time.sleep(0.02)
            child.kill()
        with closing(sqlite3.connect(db)) as connection:
            states = connection.execute("SELECT state FROM completions ORDER BY id").fetchall()
        assert states == [("received",), ("sent",)], "both were there before anyone used them"
        found: Plan = plan(loaded, str(db), calls=2)
        assert len(server.calls) == 3, "the answered one was not asked again"
    assert (found.run_id, found.calls, found.stopped) == (1, 3, "")
    with open_reader(str(db)) as reader:
        assert reader.totals(1).completions == {"received": 2, "unknown": 1}
