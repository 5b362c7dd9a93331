"""`evolve models` against a real local server."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.command import evolve_here, start, write_config
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure

KEY = "sk-test-0123456789-secret"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "replies.jsonl").write_text('{"text": "ok"}\n')
    with FakeLLMServer([Reply("ok", tokens=(20, 2))]) as server:
        pass
    return write_config(
        tmp_path,
        models=[
            {"id": "openai/gpt-4o-mini", "api_key_env": "TEST_KEY"},
            {"id": "anthropic/mine", "base_url": server.anthropic_url},
            {"id": "replay/replies.jsonl"},
            {"id": "command/cat", "price": {"input": 1, "output": 2}},
        ],
    )


def test_what_is_configured_is_listed_without_asking_anyone(tmp_path: Path, config: Path) -> None:
    shown = evolve_here(tmp_path, "models", config, TEST_KEY=KEY)
    assert shown.returncode == 0, shown.stderr
    for words in (
        "TEST_KEY is set",
        "  price: $0.15 input, $0.075 cached, $0.6 output per million tokens (genai-prices",
        "anthropic/mine: messages at http://127.0.0.1:",
        "  key: none needed\n  price: UNKNOWN, not counted\n",
        "  price: $1 input, $2 output per million tokens (configuration)",
        "  limits: 8 calls at once, 8192 tokens a reply, 300 s, 3 retries",
    ):
        assert words in shown.stdout
    assert KEY not in shown.stdout


def test_a_missing_key_is_told_and_is_an_error(tmp_path: Path, config: Path) -> None:
    shown = evolve_here(tmp_path, "models", config, "--json")
    assert shown.returncode == 3
    first, second, *_ = json.loads(shown.stdout)
    assert (first["key_env"], first["key"]) == ("TEST_KEY", False)
    assert (second["key"], second["api"], second["ping"]) == (None, "messages", None)
    assert second["price"] == {"price": None, "source": "unknown"}


def test_a_ping_tells_latency_tokens_cost_and_the_name_that_answers(tmp_path: Path) -> None:
    model = {
        "api_key_env": "TEST_KEY",
        "price": {"input": 1000, "output": 5000},
        "retries": 0,
    }
    script = [Reply("ok", tokens=(20, 2), delay_s=0.05), failure(401, f"bad key {KEY}")]
    with FakeLLMServer(script) as server:
        url = server.openai_url
        models = [{"id": f"openai/{name}", "base_url": url, **model} for name in "ab"]
        config = write_config(tmp_path, models=models)
        shown = evolve_here(tmp_path, "models", config, "--ping", "--json", TEST_KEY=KEY)
    assert shown.returncode == 3, "one of them is refused"
    good, bad = (each["ping"] for each in json.loads(shown.stdout))
    assert good["latency_s"] >= 0.05
    assert (good["model"], good["finish"]) == ("a-0001", "stop")
    assert (good["tokens_input"], good["tokens_output"]) == (20, 2)
    assert good["cost_usd"] == pytest.approx(0.03)
    assert "refuses the key in TEST_KEY" in bad["error"]
    assert KEY not in shown.stdout + shown.stderr
    assert len(server.calls) == 2
    assert (good["run_id"], bad["run_id"]) == (1, 1)
    assert calls_in(tmp_path) == [("received", 0.03, 2), ("failed", 0.0, 0)]
    told = evolve_here(tmp_path, "show", "1").stdout
    assert "probe 1 (ping)" in told
    assert "spending by model" in told
    assert "archive" not in told, "there is nothing in it"
    assert evolve_here(tmp_path, "show").returncode == 3, "a ping is not the latest search"


def calls_in(folder: Path) -> list[tuple[str, float, int]]:
    """Return state, price and output tokens of the calls in the usual database."""
    with closing(sqlite3.connect(folder / "evolve.db")) as connection:
        query = "SELECT state, cost_usd, tokens_output FROM completions ORDER BY id"
        return [(state, round(usd, 9), output) for state, usd, output in connection.execute(query)]


def test_a_ping_that_was_killed_counts_with_what_was_reserved_for_it(tmp_path: Path) -> None:
    asked: list[Call] = []

    def stall_first(call: Call) -> Reply:
        asked.append(call)
        return Reply("ok", tokens=(20, 2), delay_s=0.0 if len(asked) > 1 else 60.0)

    price = {"input": 0, "output": 1000}
    with FakeLLMServer(stall_first) as server:
        models = [{"id": "openai/a", "base_url": server.openai_url, "price": price}]
        config = write_config(tmp_path, models=models)
        with start(tmp_path, "models", config, "--ping") as child:
            while not asked:
                assert child.poll() is None
                time.sleep(0.01)
            child.kill()
        again = evolve_here(tmp_path, "models", config, "--ping", "--json")
    assert json.loads(again.stdout)[0]["ping"]["run_id"] == 1
    assert calls_in(tmp_path) == [("unknown", 0.256, 256), ("received", 0.002, 2)]


def test_nobody_is_asked_when_the_call_cannot_be_committed(tmp_path: Path) -> None:
    (tmp_path / "evolve.db").write_text("something else")
    with FakeLLMServer([Reply("ok")]) as server:
        models = [{"id": "openai/a", "base_url": server.openai_url}]
        config = write_config(tmp_path, models=models)
        shown = evolve_here(tmp_path, "models", config, "--ping")
        assert not server.calls
    assert shown.returncode == 3
    assert "evolve.db" in shown.stderr


def test_an_agent_can_be_pinged(tmp_path: Path) -> None:
    agent = {"id": "agent/echo here", "allow_uncontained": True}
    shown = evolve_here(tmp_path, "models", write_config(tmp_path, models=[agent]), "--ping")
    assert shown.returncode == 0, shown.stderr
    assert "  ping: answered (stop)" in shown.stdout


def test_the_doctor_commits_what_it_asks(tmp_path: Path) -> None:
    shown = evolve_here(tmp_path, "doctor", "--ping", "command/cat", "--ping", "openai/a", "--json")
    checks = {each["name"]: each for each in json.loads(shown.stdout)}
    assert checks["command/cat"]["verdict"] == "ok", checks["command/cat"]
    assert "OPENAI_API_KEY is not set" in checks["openai/a"]["detail"]
    assert "command/cat" in evolve_here(tmp_path, "show", "1").stdout


def test_a_model_in_no_file_can_be_pinged(tmp_path: Path) -> None:
    shown = evolve_here(tmp_path, "models", "--model", "command/cat", "--ping")
    assert shown.returncode == 0, shown.stderr
    assert "  ping: answered (stop)" in shown.stdout
    assert evolve_here(tmp_path, "models").returncode == 2
