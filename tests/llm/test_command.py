"""Programs as models: real processes, with all the ways in which they can fail."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from pathlib import Path

import anyio
import pytest

from evolve.config.models import ModelConfig
from evolve.core.errors import (
    ConfigError,
    EvolveError,
    InfrastructureError,
    ModelUnavailable,
    ReplyLost,
)
from evolve.llm import program
from evolve.llm.base import Completion, Message, Request
from evolve.llm.command import CommandModel, as_text
from tests.command import gone_soon

REQUEST = Request((Message("system", "Be brief.\n"), Message("user", "Grüße 🎲?")), seed=7)
SECRET = "sk-0123456789-secret"


def ask(folder: Path, script: str, **settings: object) -> Completion:
    """Run ``script`` as a model's program and ask it once."""
    (folder / "answer.py").write_text(f"import os, sys\n{textwrap.dedent(script)}")
    config = {"id": f"command/{sys.executable} answer.py", "timeout_s": 20, **settings}
    model = CommandModel(ModelConfig.model_validate(config), folder)
    return anyio.run(model.complete, REQUEST)


def test_the_prompt_goes_in_and_the_reply_comes_out(tmp_path: Path) -> None:
    reply = ask(tmp_path, "print(sys.stdin.read().upper(), end='')")
    assert reply.text == "BE BRIEF.\n\nGRÜSSE 🎲?\n"
    assert reply.finish == "stop"
    assert 0 < reply.latency_s < 20


def test_a_prompt_as_json_is_the_request_that_the_store_keeps(tmp_path: Path) -> None:
    reply = ask(tmp_path, "print(sys.stdin.read())", stdin="json")
    assert json.loads(reply.text) == json.loads(REQUEST.to_json())


def test_turns_of_a_conversation_are_told_apart() -> None:
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    assert as_text(Request(turns)) == "[user]\na\n\n[assistant]\nb\n\n[user]\nc\n"


def test_a_program_gets_only_the_variables_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("MINE", "yes")
    reply = ask(tmp_path, "print(sorted(os.environ), os.environ['MINE'])", pass_env=["MINE"])
    assert "OPENAI_API_KEY" not in reply.text
    assert "HOME" not in reply.text
    assert "EVOLVE_SEED" in reply.text
    assert reply.text.endswith("yes\n")


def test_a_secret_that_a_program_was_given_is_in_no_reply_and_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    told = "print(os.environ['MY_TOKEN'], file=sys.{})"
    assert ask(tmp_path, told.format("stdout"), pass_env=["MY_TOKEN"]).text == "[key]\n"
    with pytest.raises(InfrastructureError) as caught:
        ask(tmp_path, told.format("stderr"), pass_env=["MY_TOKEN"])
    assert SECRET not in str(caught.value)
    assert "[key]" in str(caught.value)


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("sys.exit('no such thing')", InfrastructureError, "exit code 1.*ends: no such thing"),
        ("os.abort()", InfrastructureError, "signal 6"),
        ("print(' ')", InfrastructureError, "wrote nothing"),
        ("import time; time.sleep(60)", ReplyLost, "stopped after timeout_s, 1 s"),
        ("while True: print('x' * 10**6)", ReplyLost, "MiB of output"),
    ],
)
def test_failures_say_what_happened(
    tmp_path: Path, script: str, kind: type[EvolveError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        ask(tmp_path, script, timeout_s=1 if "sleep" in script else 20)
    assert isinstance(caught.value, ReplyLost) == (kind is ReplyLost)


def test_a_program_need_not_read_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "REQUEST", Request((Message("user", "x" * 10**6),)))
    assert ask(tmp_path, "print('ok')").text == "ok\n"


def test_what_is_no_text_is_replaced(tmp_path: Path) -> None:
    assert ask(tmp_path, r"sys.stdout.buffer.write(b'a\xffb')").text == "a\ufffdb"


LEAVES_CHILDREN = """\
    import subprocess, time
    wait = ["sleep", "60"]
    near = subprocess.Popen(wait)
    far = subprocess.Popen(wait, start_new_session=True)
    open("written", "w").write(f"{near.pid} {far.pid}")
    os.rename("written", "pids")
    time.sleep(60)
"""


def test_the_whole_process_tree_is_killed(tmp_path: Path) -> None:
    for timeout_s in (1, 5, 25):  # on a busy machine it takes a while to come so far
        with pytest.raises(ReplyLost):
            ask(tmp_path, LEAVES_CHILDREN, timeout_s=timeout_s)
        if (tmp_path / "pids").exists():
            break
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(map(gone_soon, pids))


def test_a_cancelled_call_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async def call() -> None:
            await program.run_program(
                [sys.executable, "-c", f"import os, sys\n{textwrap.dedent(LEAVES_CHILDREN)}"],
                b"",
                cwd=tmp_path,
                env=dict(os.environ),
                timeout_s=60,
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not (tmp_path / "pids").exists():  # noqa: ASYNC110 - another process
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()

    started = time.monotonic()
    anyio.run(main)
    assert time.monotonic() - started < 40
    assert all(gone_soon(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_a_program_beside_the_configuration_is_named_with_a_slash(tmp_path: Path) -> None:
    script = tmp_path / "say hello"
    script.write_text("#!/bin/sh\necho hello $1\n")
    script.chmod(0o755)
    model = CommandModel(ModelConfig(id="command/'./say hello' 'a  b'"), tmp_path)
    assert anyio.run(model.complete, REQUEST).text == "hello a b\n"
    assert model.parameters() == {"argv": [str(script), "a  b"], "pass_env": []}


def test_what_cannot_be_run_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no program .*nothing-like-it"):
        CommandModel(ModelConfig(id="command/nothing-like-it"), tmp_path)
    with pytest.raises(ConfigError, match="no command line"):
        CommandModel(ModelConfig(id="command/a 'b"), tmp_path)
    with pytest.raises(ModelUnavailable, match="UNSET_VARIABLE, which is not set"):
        CommandModel(ModelConfig(id="command/cat", pass_env=("UNSET_VARIABLE",)), tmp_path)
