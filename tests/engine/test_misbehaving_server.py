"""Runs against a server that misbehaves in every way it can: all is accounted for, nothing is lost.

The server keeps its own books. What it served is compared with what the database says.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.engine.run import run
from evolve.llm import gate
from evolve.store.reader import open_reader
from evolve.store.rows import get_blob
from tests.command import start, write_config
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure

KEY = "sk-test-0123456789-secret"
PRICE = {"input": 2.0, "output": 8.0}
TIMEOUT_S = 2.0
#: What the server does, and how often beside the others.
TRICKS: Mapping[str, int] = {
    "edit": 30,
    "429": 6,
    "500": 4,
    "401": 1,
    "stall": 2,
    "html": 2,
    "truncated json": 3,
    "cut off": 3,
    "reset": 3,
    "empty choices": 4,
    "refusal": 4,
    "length": 4,
    "prose": 5,
    "stale": 6,
    "2 MB": 1,
    "unicode": 4,
    "no usage": 4,
    "wrong usage": 4,
    "error in success": 2,
    "key": 2,
}
WRONG: tuple[object, ...] = (
    {"prompt_tokens": -5, "completion_tokens": 3, "input_tokens": -5, "output_tokens": 3},
    {"prompt_tokens": 10**12, "completion_tokens": 9, "input_tokens": 10**12, "output_tokens": 9},
    {"prompt_tokens": "7", "completion_tokens": [], "input_tokens": None, "output_tokens": "x"},
    "lots",
    [],
)


def hunk(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


class Rascal:
    """Answers at random, by the number of the request; knows what it would bill for each prompt."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.done: Counter[str] = Counter()
        self.bills: dict[str, float] = {}
        self.tame = 6  # a server that never answered would be a mistake in the configuration

    def __call__(self, call: Call) -> Reply:
        names, weights = list(TRICKS), np.array(list(TRICKS.values()))
        trick = names[self._rng.choice(len(names), p=weights / weights.sum())]
        number = self.done.total()
        if self.tame:
            trick, self.tame = "edit", self.tame - 1
        self.done[trick] += 1
        reply = self._reply(trick, number, call.conversation)
        if reply.status == 200 and reply.text is not None and reply.json_body is None:
            tokens = reply.tokens if reply.usage is None else (0, 0)
            bill = (tokens[0] * PRICE["input"] + tokens[1] * PRICE["output"]) / 1e6
            self.bills[call.conversation] = max(self.bills.get(call.conversation, 0.0), bill)
        return reply

    def _reply(self, trick: str, number: int, prompt: str) -> Reply:
        (line, *_) = re.findall(r"^    return .*$", prompt, re.MULTILINE)
        edit = f"Idea {number}.\n{hunk(line, f'    return x * x + {number}')}"
        tokens = (len(prompt) // 4, 40 + number % 50)
        plain = Reply(edit, tokens=tokens)
        return {
            "edit": plain,
            "429": failure(429, "slow down", retry_after=0.02),
            "500": failure(500, "bad day"),
            "401": failure(401, f"who is {KEY}?"),
            "stall": Reply(edit, tokens=tokens, delay_s=2 * TIMEOUT_S),
            "html": Reply(raw_body=b"<html>502 Bad Gateway</html>", status=502),
            "truncated json": Reply(raw_body=plain.body(path="x", model="m")[:-20]),
            "cut off": Reply(edit, tokens=tokens, cut_at=40),
            "reset": Reply(reset=True),
            "empty choices": Reply(json_body={"choices": [], "content": [], "output": []}),
            "refusal": Reply("I cannot help.", finish="content_filter", tokens=tokens),
            "length": Reply(edit[:30], finish="length", tokens=tokens),
            "prose": Reply("Parabolas are lovely, are they not?", tokens=tokens),
            "stale": Reply(hunk("    return 'an older version'", line), tokens=tokens),
            "2 MB": Reply(edit + "é🎲 " * 300_000, tokens=tokens),
            "unicode": Reply(f"Ünï 🎲 \u202e \ud800 \x00 {edit}", tokens=tokens),
            "no usage": Reply(edit, usage={}),
            "wrong usage": Reply(edit, usage=WRONG[number % len(WRONG)]),
            "error in success": Reply(json_body={"error": {"message": "no capacity"}}),
            "key": Reply(f"Your key is {KEY}. {edit}", tokens=tokens),
        }[trick]


def configure(folder: Path, server: FakeLLMServer, **stop: float) -> Path:
    settings: dict[str, Any] = {
        "api_key_env": "TEST_KEY",
        "price": PRICE,
        "retries": 1,
        "timeout_s": TIMEOUT_S,
        "max_tokens": 200,
        "concurrency": 6,
    }
    models = [
        {"id": "openai/chat", "base_url": server.openai_url, **settings},
        {"id": "openai/new", "base_url": server.openai_url, "api": "responses", **settings},
        {"id": "anthropic/claude", "base_url": server.anthropic_url, **settings},
    ]
    proposers = [{"kind": "diff", "options": {"model": model["id"]}} for model in models]
    return write_config(folder, models=models, proposers=proposers, slots=2, stop=stop)


def check_the_books(db: Path, server: FakeLLMServer, rascal: Rascal) -> dict[str, float]:
    """Compare the database with what the server knows; return the run's totals."""
    with open_reader(str(db)) as reader, reader._database.read() as connection:
        rows = [
            row._mapping
            for row in connection.exec_driver_sql(
                "SELECT completions.*, proposals.iteration, proposals.status FROM completions"
                " JOIN proposals ON proposals.id = proposal_id ORDER BY completions.id"
            )
        ]
        prompts = [
            "\n".join(
                turn["content"]
                for turn in json.loads(get_blob(connection, row["prompt_blob"]))["messages"]
                if turn["role"] != "system"
            )
            for row in rows
        ]
        open_ = connection.exec_driver_sql(
            "SELECT count(*) FROM proposals WHERE status IN ('open', 'added')"
        ).scalar_one()
        leases = connection.exec_driver_sql("SELECT count(*) FROM leases").scalar_one()
    assert (open_, leases) == (0, 0), "no task is lost"
    assert {row["state"] for row in rows} <= {"received", "failed", "unknown"}
    answered = Counter(
        prompt for row, prompt in zip(rows, prompts, strict=True) if row["state"] == "received"
    )
    assert set(answered.values()) == {1}, "no answer is paid for twice"
    asked = Counter(call.conversation for call in server.calls)
    assert set(asked) <= set(prompts), "nothing was asked that is not in the database"
    assert set(answered) <= set(asked)
    sent = Counter(prompts)
    assert all(asked[prompt] <= 2 * sent[prompt] for prompt in asked), "one retry each at most"

    charged: Counter[str] = Counter()
    for row, prompt in zip(rows, prompts, strict=True):
        assert row["cost_usd"] is not None
        charged[prompt] += row["cost_usd"]
        lost = row["state"] == "unknown" or row["cost_usd"] == row["reserved_usd"] > 0
        assert row["cost_usd"] <= row["reserved_usd"] + 1e-12
        assert bool(row["tokens_assumed"]) >= lost
    for prompt, bill in rascal.bills.items():
        assert bill <= charged[prompt] + 1e-12, "the ledger is never below the server's bill"
    for file in db.parent.glob(f"{db.name}*"):
        assert KEY.encode() not in file.read_bytes()
    return {
        "calls": len(rows),
        "cost_usd": sum(row["cost_usd"] for row in rows),
        "tokens": sum(row["tokens_input"] + row["tokens_output"] for row in rows),
        "assumed": sum(row["tokens_assumed"] for row in rows),
    }


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(gate, "FIRST_PROBE_S", 0.05)


def test_forty_calls_to_a_misbehaving_server_are_all_accounted_for(tmp_path: Path) -> None:
    rascal, db = Rascal(1), tmp_path / "evolve.db"
    with FakeLLMServer(rascal) as server:
        result = run(configure(tmp_path, server, calls=40), db=str(db))
    books = check_the_books(db, server, rascal)
    assert (result.reason, books["calls"]) == ("calls", 40)
    with open_reader(str(db)) as reader:
        totals = reader.totals(1)
        assert totals.cost_usd == pytest.approx(books["cost_usd"])
        for by in ("model", "operator", "outcome"):
            groups = reader.spending(1, by)
            assert sum(group.calls for group in groups) == 40
            assert sum(group.cost_usd for group in groups) == pytest.approx(books["cost_usd"])
    assert 0 < books["assumed"] < 40


@pytest.mark.parametrize("cap", ["cost_usd", "tokens"])
def test_no_cap_is_passed_by_a_cent_or_a_token(tmp_path: Path, cap: str) -> None:
    rascal, db = Rascal(2), tmp_path / "evolve.db"
    limit = {"cost_usd": 0.12, "tokens": 40_000}[cap]
    with FakeLLMServer(rascal) as server:
        result = run(configure(tmp_path, server, **{cap: limit}), db=str(db))
    books = check_the_books(db, server, rascal)
    assert result.reason == cap
    assert 0.6 * limit < books[cap] <= limit


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_five_hundred_calls_and_a_kill_in_between(tmp_path: Path) -> None:
    rascal, db = Rascal(3), tmp_path / "evolve.db"
    with FakeLLMServer(rascal) as server:
        config = configure(tmp_path, server, calls=500)
        with start(tmp_path, "run", config, "--json", TEST_KEY=KEY) as first:
            deadline = time.monotonic() + 200
            while len(server.calls) < 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            first.send_signal(signal.SIGKILL)
            first.communicate()
        rascal.tame = 6  # the second process, too, begins with answers
        with start(tmp_path, "run", config, "--json", TEST_KEY=KEY) as second:
            shown, complaints = second.communicate(timeout=300)
    assert second.returncode == 0, complaints
    assert json.loads(shown.splitlines()[-1])["reason"] == "calls"
    assert KEY not in shown + complaints
    books = check_the_books(db, server, rascal)
    assert books["calls"] == 500
    assert set(rascal.done) == set(TRICKS), "it did everything it can"
