"""Whole runs with the real SDK clients against a local server, by library and by command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evolve.config.file import load_run_config
from evolve.config.models import ModelConfig
from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError, ModelUnavailable, SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.png import png_size
from evolve.engine.dry import dry_run
from evolve.engine.events import Event, RunStarted
from evolve.engine.resume import search_hash
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.view.arms import arms
from tests.command import environment, evolve, evolve_here, write_config
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure

KEY = "sk-test-0123456789-secret"
BOTH = pytest.mark.parametrize("vendor", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def configure(folder: Path, server: FakeLLMServer, vendor: str = "openai", **changes: Any) -> Path:
    """Write a configuration with a priced model of ``vendor`` that answers one call at a time."""
    model = {
        "id": f"{vendor}/tiny",
        "base_url": server.openai_url if vendor == "openai" else server.anthropic_url,
        "api_key_env": "TEST_KEY",
        "price": {"input": 1.0, "output": 10.0},
        "concurrency": 1,
        "retries": 1,
    }
    settings = {
        "models": [model],
        "slots": 1,
        "proposals": 1,
        "sandbox": {"kind": "process", "allow_untrusted": True},
        "proposers": [{"kind": "diff"}],
        **changes,
    }
    return write_config(folder, **settings)


def messages(call: Call) -> list[dict[str, Any]]:
    """Return what the server was told, the system's words first."""
    system = call.body.get("system")
    first = [] if system is None else [{"role": "system", "content": str(system)}]
    return first + list(call.body["messages"])


def hunk(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


class Pupil:
    """Answers like a model: some useful edits, some useless ones, each worth its reason word."""

    def __init__(self) -> None:
        self.useless = [
            ("not_found", hunk("    return nothing_like_it", "    return 0")),
            ("no_edit", "I would rather talk about parabolas."),
            ("syntax", ""),
            ("refusal", "I cannot help with that."),
            ("truncated", "The idea is to"),
        ]
        self.answers: list[tuple[str, Reply]] = []

    def __call__(self, call: Call) -> Reply:
        number = len(self.answers)
        prompt = messages(call)[-1]["content"]
        (line,) = re.findall(
            r"^    return .*$", prompt.partition("# The program to improve")[2], re.MULTILINE
        )
        if "complete new program" in prompt:
            text = f"Idea {number}.\n```python\n# EVOLVE-BLOCK-START\ndef f(x):\n"
            text += f"    return x**2 + {number}\n# EVOLVE-BLOCK-END\n```\n"
            reason = "ok"
        elif self.useless:
            reason, text = self.useless.pop(0)
            text = text or hunk(line, "    return x *")
        else:
            reason, text = "ok", f"Idea {number}.\n" + hunk(line, f"    return x * x + {number}")
        finish = {"refusal": "content_filter", "truncated": "length"}.get(reason, "stop")
        reply = Reply(text, finish=finish, tokens=(1000 + number, 100))
        self.answers.append((reason, reply))
        return reply


@BOTH
def test_a_run_with_a_model_accounts_for_every_call(tmp_path: Path, vendor: str) -> None:
    pupil, db = Pupil(), tmp_path / "evolve.db"
    with FakeLLMServer(pupil) as server:
        options = {"mends": 0}
        proposers = [
            {"kind": "diff", "weight": 2, "options": options},
            {"kind": "rewrite", "options": options},
        ]
        config = configure(tmp_path, server, vendor, proposers=proposers, stop={"evaluations": 8})
        if vendor == "openai":
            assert run(config, db=str(db)).reason == "evaluations"
        else:
            ran = evolve(tmp_path, "run", config, "--json")
            result = json.loads(ran.stdout.splitlines()[-1])
            assert (result["event"], result["reason"]) == ("Result", "evaluations")
            assert KEY not in ran.stdout + ran.stderr
    assert not pupil.useless, "the run saw every kind of reply"
    expected = Counter(reason for reason, _ in pupil.answers)
    replies = {
        reply.text: call for (_, reply), call in zip(pupil.answers, server.calls, strict=True)
    }

    with open_reader(str(db)) as reader:
        totals = reader.totals(1)
        assert totals.evaluations == {Outcome.OK: 8}
        assert expected.pop("ok") == 7
        assert totals.rejected == expected
        assert totals.completions == {"received": len(server.calls)}
        used = [reply.tokens for _, reply in pupil.answers]
        assert totals.tokens.input == sum(read for read, _ in used)
        assert totals.tokens.output == sum(written for _, written in used)
        price = (totals.tokens.input * 1.0 + totals.tokens.output * 10.0) / 1e6
        assert totals.cost_usd == pytest.approx(price)

        found = [entry for entry in reader.programs(1) if entry.iteration is not None]
        assert {entry.operator for entry in found} == {"diff", "rewrite"}
        for entry in found:
            (completion,) = reader.program(entry.id).completions
            call = replies[completion.text]
            assert json.loads(completion.prompt)["messages"] == messages(call)
            assert completion.server_model == "tiny-0001"
            parent = reader.program(entry.parents[0]).program.files["seed.py"]
            assert parent.strip() in messages(call)[-1]["content"]
            assert entry.summary == completion.text.splitlines()[0]

    sent = {
        call.headers.get("authorization") or call.headers.get("x-api-key") for call in server.calls
    }
    assert sent <= {KEY, f"Bearer {KEY}"}
    for file in tmp_path.glob("evolve.db*"):
        assert KEY.encode() not in file.read_bytes()


@BOTH
def test_a_dry_run_shows_the_prompt_that_the_run_then_sends(tmp_path: Path, vendor: str) -> None:
    with FakeLLMServer(Pupil()) as server:
        config = configure(tmp_path, server, vendor, stop={"evaluations": 2, "cost_usd": 1})
        preview = dry_run(load_run_config(config))
        assert not server.calls
        run(config, db=str(tmp_path / "evolve.db"))
    prompt = [{"role": message.role, "content": message.content} for message in preview.prompt]
    assert prompt == messages(server.calls[0])
    assert preview.outcome == "ok"
    assert preview.numbers["error"] == 2.5


def test_the_command_prints_the_whole_prompt_of_a_dry_run_and_an_estimate(tmp_path: Path) -> None:
    with FakeLLMServer(Pupil()) as server:
        config = configure(tmp_path, server, stop={"evaluations": 2, "cost_usd": 1})
        shown = evolve(tmp_path, "run", config, "--dry-run")
        preview = dry_run(load_run_config(config))
    assert shown.returncode == 0, shown.stderr
    assert not server.calls
    for message in preview.prompt:
        assert message.content in shown.stdout
    assert "error: 2.5" in shown.stdout
    assert "never more than $1 is spent" in shown.stdout
    assert not (tmp_path / "evolve.db").exists()


def test_code_from_a_model_is_refused_where_it_could_do_harm(tmp_path: Path) -> None:
    with FakeLLMServer([]) as server:
        config = configure(tmp_path, server, sandbox={"kind": "process"})
        with pytest.raises(SandboxUnavailable) as refused:
            run(config, db=str(tmp_path / "evolve.db"))
    assert refused.value.exit_code == 3
    assert "sandbox: {kind: docker}" in str(refused.value)
    assert "allow_untrusted: true" in str(refused.value)
    assert not server.calls
    assert not (tmp_path / "evolve.db").exists()


def test_a_key_that_is_refused_ends_the_run_and_is_not_repeated(tmp_path: Path) -> None:
    with FakeLLMServer(lambda _: failure(401, f"Incorrect API key: {KEY}")) as server:
        ran = evolve(tmp_path, "run", configure(tmp_path, server), "--json")
    assert ran.returncode == 3
    assert "refuses the key in TEST_KEY" in ran.stderr
    last = json.loads(ran.stdout.splitlines()[-1])
    assert (last["event"], last["status"]) == ("RunFinished", "failed")
    assert KEY not in ran.stdout + ran.stderr
    assert KEY.encode() not in (tmp_path / "evolve.db").read_bytes()
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert reader.run(1).status == "failed"
        assert reader.totals(1).evaluations == {Outcome.OK: 1}, "the seed program's"


DIES_AT_THE_FIRST_REPLY = """\
import os, signal, sys
import evolve
from evolve.propose.llm import LLMProposer
LLMProposer.interpret = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
evolve.run(sys.argv[1])
"""


def test_a_reply_that_was_paid_for_is_used_after_a_crash(tmp_path: Path) -> None:
    pupil, db = Pupil(), tmp_path / "evolve.db"
    pupil.useless.clear()
    with FakeLLMServer(pupil) as server:
        config = configure(tmp_path, server, stop={"evaluations": 4})
        command = [sys.executable, "-c", DIES_AT_THE_FIRST_REPLY, str(config)]
        died = subprocess.run(command, cwd=tmp_path, env=environment(TEST_KEY=KEY), check=False)
        assert died.returncode == -signal.SIGKILL
        with open_reader(str(db)) as reader:
            assert reader.totals(1).completions["received"] == 1
            assert reader.totals(1).evaluations == {Outcome.OK: 1}
        assert run(config, db=str(db)).run_id == 1
    with open_reader(str(db)) as reader:
        first = next(entry for entry in reader.programs(1) if entry.iteration == 0)
        (call,) = reader.program(first.id).completions
        assert call.text == pupil.answers[0][1].text
        totals = reader.totals(1)
        assert totals.completions["received"] == totals.proposals == 3, "one reply each"
        assert totals.completions.get("unknown", 0) <= 1, "the call under way when it died"
        assert len(server.calls) <= sum(totals.completions.values())


def test_a_model_that_cannot_be_had_is_told_before_anything_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY")
    with FakeLLMServer([]) as server:
        config = configure(tmp_path, server)
    with pytest.raises(ModelUnavailable, match="TEST_KEY is not set"):
        run(config, db=str(tmp_path / "evolve.db"))
    assert not (tmp_path / "evolve.db").exists()


def test_a_dry_run_ends_where_no_model_operator_can_work_yet(tmp_path: Path) -> None:
    with FakeLLMServer([]) as server:
        proposers = [{"kind": "genetic"}, {"kind": "crossover"}, {"kind": "repair"}]
        config = configure(tmp_path, server, proposers=proposers, stop={"evaluations": 3})
        preview = dry_run(load_run_config(config))
    assert "Combine the two parents" in preview.prompt[-1].content
    assert server.calls == []


def test_a_run_of_many_operators_accounts_for_every_call(tmp_path: Path) -> None:
    """Plan, pseudocode, crossover, repair and mending at once, with programs that fail."""
    answered: list[str] = []

    def answer(call: Call) -> Reply:
        number, prompt = len(answered), messages(call)[-1]["content"]
        answered.append(prompt)
        if "Write no code yet" in prompt:
            return Reply("1. A parabola, O(1).\n2. Another one, O(1).")
        body = "1 / 0" if number % 3 == 0 else f"x * x + {number}"
        if "could not be used" in prompt or number % 5 == 0:
            return Reply("I have no idea.")
        code = f"# EVOLVE-BLOCK-START\ndef f(x):\n    return {body}\n# EVOLVE-BLOCK-END\n"
        old = re.findall(r"^    return .*$", prompt, re.MULTILINE)
        if "in exactly this form" in prompt and old:
            return Reply(f"Idea {number}.\n" + hunk(old[-1], f"    return {body}"))
        return Reply(f"Idea {number}.\n```python\n{code}```\n")

    kinds = ("diff", "plan", "pseudocode", "crossover", "repair")
    with FakeLLMServer(answer) as server:
        proposers = [{"kind": kind} for kind in kinds]
        config = configure(
            tmp_path,
            server,
            proposers=proposers,
            portfolio={"kind": "bandit"},
            stop={"evaluations": 30},
        )
        run(config, db=str(tmp_path / "evolve.db"))
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        totals = reader.totals(1)
        assert totals.completions == {"received": len(server.calls)}
        assert {entry.operator for entry in reader.programs(1)} >= set(kinds)
        for entry in reader.programs(1, operator="plan"):
            assert len(reader.program(entry.id).completions) >= 2
        assert {arm.operator for arm in arms(reader, reader.run())} == set(kinds)


def test_an_unknown_price_is_said_stored_and_no_part_of_the_runs_identity(tmp_path: Path) -> None:
    pupil, db = Pupil(), str(tmp_path / "evolve.db")
    pupil.useless.clear()
    unpriced = {"id": "openai/tiny", "api_key_env": "TEST_KEY", "concurrency": 1}
    told: list[RunStarted] = []

    def watch(event: Event) -> None:
        if isinstance(event, RunStarted):
            told.append(event)

    with FakeLLMServer(pupil) as server:
        models = [{**unpriced, "base_url": server.openai_url}]
        with pytest.raises(ConfigError, match=r"stop\.cost_usd needs the price .* openai/tiny"):
            run(configure(tmp_path, server, models=models, stop={"cost_usd": 1}), db=db)
        first = configure(tmp_path, server, models=models, stop={"calls": 2})
        run(first, db=db, observers=[watch])
        with open_reader(db) as reader:
            assert reader.run(1).provenance["prices"] == {
                "openai/tiny": {"source": "unknown", "price": None}
            }
            assert reader.totals(1).unpriced_calls == 2
        shown = evolve_here(tmp_path, "show")
        models = [{**models[0], "price": {"input": 1, "output": 10}, "timeout_s": 9}]
        config = load_run_config(configure(tmp_path, server, models=models, stop={"calls": 4}))
        problem = load_problem("./parabola", tmp_path)
        assert search_hash(config.config, problem) == search_hash(
            config.config.model_copy(
                update={
                    "models": (
                        ModelConfig.model_validate({**unpriced, "base_url": server.openai_url}),
                    )
                }
            ),
            problem,
        )
    assert [event.unpriced for event in told] == [("openai/tiny",)]
    assert "price of openai/tiny: UNKNOWN, not counted" in shown.stdout
    assert "2 calls of UNKNOWN price are not in these sums" in shown.stdout


@pytest.mark.parametrize("sees", [True, False])
def test_a_model_that_sees_is_shown_what_the_evaluator_drew(tmp_path: Path, sees: bool) -> None:
    edit = hunk("    radius = 0.5 / side", "    radius = 0.499 / side")
    with FakeLLMServer(lambda _: Reply(edit, tokens=(3000, 20))) as server:
        model = configure(tmp_path, server)
        settings = json.loads(model.read_text())
        settings |= {"problem": "circle_packing_26", "order": "strict", "stop": {"evaluations": 2}}
        settings["models"][0] |= {"vision": sees}
        model.write_text(json.dumps(settings))
        db = tmp_path / "evolve.db"
        assert run(model, db=str(db)).reason == "evaluations"
    (user,) = [each for each in messages(server.calls[0]) if each["role"] == "user"]
    with open_reader(str(db)) as reader:
        seed, child = (reader.program(number) for number in (1, 2))
    (score,) = [each.score for each in seed.evaluations]
    assert score is not None
    png = score.images["packing"]
    assert png_size(png) == (320, 320)
    if sees:
        image, text = user["content"]
        assert image["image_url"]["url"] == f"data:image/png;base64,{b64encode(png).decode()}"
        assert "Attached is a picture" in text["text"]
    else:
        assert "also drew packing, which you are not shown" in user["content"]
    (call,) = child.completions
    assert ("sha256" in call.prompt) == sees
    assert len(call.prompt) < 30_000, "the image itself is stored once, with the program"
    ran = evolve_here(tmp_path, "replay", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["same"]
    written = evolve_here(tmp_path, "program", "1", "--images", "drawn").stdout.split()
    assert [(tmp_path / path).read_bytes() for path in written] == [png]
