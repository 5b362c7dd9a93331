"""Instructions in whole runs: written, used, credited, resumed, and made again."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.propose.instructions import Rated
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from evolve.view.arms import arms, instructions
from tests.command import QUICK_SANDBOX, evolve, evolve_here, start
from tests.engine.test_end_to_end_models import configure, hunk
from tests.fake_llm_server import Call, FakeLLMServer, Reply

BOTH = pytest.mark.parametrize("order", ["arrival", "strict"])
SETTINGS = {"every": 4, "keep": 2, "texts": ["Keep it simple."]}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789-secret")


def author(call: Call) -> Reply:
    """Answer by the request alone: an instruction where one is asked for, else an edit."""
    number = int(hashlib.sha256(str(call.body).encode()).hexdigest()[:6], 16)
    if "Write one new instruction" in call.prompt:
        return Reply(f"Think of the number {number}.", tokens=(500, 20))
    program = call.prompt.partition("# The program to improve")[2]
    line = re.search(r"^    return .*$", program, re.MULTILINE)
    assert line is not None
    good = "Think of the number" in call.prompt
    changed = f"    return x * x + 1.{number}" if good else f"    return x + {number}"
    return Reply(hunk(line[0], changed), tokens=(1000, 100))


def begin(
    folder: Path, server: FakeLLMServer, evaluations: int, order: str, **changes: object
) -> Path:
    settings: dict[str, Any] = {
        "order": order,
        "window": 4,
        "proposers": [{"kind": "diff", "options": {"mends": 0}}],
        "sandbox": {**QUICK_SANDBOX, "allow_untrusted": True},
        "slots": 2,
        "proposals": 3,
        "instructions": SETTINGS,
        "stop": {"evaluations": evaluations},
        **changes,
    }
    return configure(folder, server, **settings)


def shown_by_iteration(reader: Reader) -> dict[int, int | None]:
    return {each.iteration: each.instruction for each in reader.proposals(1)}


def at_no_cost(rated: Rated) -> Rated:
    """Leave out what was paid: a call that was cut off costs what was reserved for it."""
    return replace(rated, tally=replace(rated.tally, cost_usd=0.0))


@BOTH
def test_instructions_are_written_shown_credited_and_made_again(tmp_path: Path, order: str) -> None:
    with FakeLLMServer(author) as server:
        run(begin(tmp_path, server, 20, order), db=str(tmp_path / "evolve.db"))
        told = [call.prompt for call in server.calls]
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        proposals, record = reader.proposals(1), reader.run()
        texts = reader.instructions.texts(1)
        rated = {each.instruction.number: each for each in instructions(reader, record)}
        by_operator = {each.group: each for each in reader.spending(1, "operator")}
        totals = reader.totals(1)
        assert "instruct" not in {arm.operator for arm in arms(reader, record)}
    wrote = [each for each in proposals if each.operator == "instruct"]
    assert [each.iteration % 4 for each in wrote] == [3] * len(wrote)
    assert len(wrote) > 4
    assert {each.status for each in wrote} == {"wrote"}
    assert set(texts) == {1, *range(2, 2 + len(wrote))}
    assert texts[1] == "Keep it simple."
    assert by_operator["instruct"].calls == len(wrote)
    assert by_operator["instruct"].cost_usd == pytest.approx(len(wrote) * 0.0007)
    assert "instruction" not in totals.rejected
    used = [each for each in proposals if each.operator != "instruct"]
    assert {each.instruction is None for each in used} == {False}
    for each in used:
        (prompt,) = [call.prompt for call in each.completions]
        text = texts.get(each.instruction or 0)
        assert ("# Advice for this attempt" in prompt) == (text is not None)
        assert text is None or json.dumps(text)[1:-1] in prompt
    assert sum(each.tally.pulls for each in rated.values()) == len(used)
    assert sum(each.live for each in rated.values()) == 3, "keep: 2, and none at all"
    written = [each for number, each in rated.items() if number > 1]
    assert sum(each.tally.improved for each in written) > 0
    assert any("Think of the number" in prompt for prompt in told)
    with (
        open_reader(str(tmp_path / "evolve.db")) as reader,
        open_store(str(tmp_path / "again.db")) as scratch,
    ):
        report = replay(reader, record, scratch)
        assert (report.same, report.differences) == (True, [])
        assert report.prompts == report.replies == len(told)
        assert scratch.instructions.texts(1) == {n: t for n, t in texts.items() if n > 1}


def test_a_killed_strict_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    asked: list[bool] = []
    stalls = False

    def answer(call: Call) -> Reply:
        if stalls:
            asked.append("Write one new instruction" in call.prompt)
            if len(asked) == 12:
                return Reply("too late", delay_s=60)
        return author(call)

    with FakeLLMServer(answer) as server:
        run(begin(folder(whole), server, 16, "strict"), db=str(whole / "evolve.db"))
        config, stalls = begin(folder(parts), server, 16, "strict"), True
        with start(parts, "run", config, TEST_KEY="sk-test-0123456789-secret") as process:
            deadline = time.monotonic() + 60
            while len(asked) < 12 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            process.kill()
            process.communicate()
        stalls = False
        run(config, db=str(parts / "evolve.db"))
    assert sum(asked) > 1, "instructions were written before the kill"
    with (
        open_reader(str(whole / "evolve.db")) as one,
        open_reader(str(parts / "evolve.db")) as two,
    ):
        assert one.archive_digest(1) == two.archive_digest(1)
        assert one.instructions.texts(1) == two.instructions.texts(1)
        assert shown_by_iteration(one) == shown_by_iteration(two)
        before, after = instructions(one, one.run()), instructions(two, two.run())
        assert list(map(at_no_cost, before)) == list(map(at_no_cost, after))
        calls = two.totals(1).completions
        assert calls["received"] == one.totals(1).completions["received"]
        assert calls["unknown"] >= 1, "the call in flight is paid for"


def test_the_command_line_shows_them(tmp_path: Path) -> None:
    with FakeLLMServer(author) as server:
        config = begin(tmp_path, server, 14, "arrival")
        ran = evolve(tmp_path, "run", config, TEST_KEY="sk-test-0123456789-secret")
    assert ran.returncode == 0, ran.stderr
    assert "new instruction  iteration 3: Think of the number" in ran.stdout + ran.stderr
    shown = evolve_here(tmp_path, "show")
    assert "instructions (" in shown.stdout
    assert "(none)" in shown.stdout
    listed = json.loads(evolve_here(tmp_path, "show", "--json").stdout)["instructions"]
    assert {each["number"] for each in listed} >= {0, 1, 2, 3}
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        texts = reader.instructions.texts(1)
        program = next(
            each for each in reader.proposals(1) if each.instruction and each.program is not None
        )
    told = evolve_here(tmp_path, "program", str(program.program))
    assert f"instruction {program.instruction}: " in told.stdout
    prompt = evolve_here(tmp_path, "program", str(program.program), "--prompt").stdout
    assert f"# Advice for this attempt\n\n{texts[program.instruction or 0]}" in prompt
    data = json.loads(evolve_here(tmp_path, "program", str(program.program), "--json").stdout)
    assert data["instruction"] == program.instruction


def folder(path: Path) -> Path:
    path.mkdir()
    return path
