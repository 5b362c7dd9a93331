"""The agent operator: a working copy, what is taken from it, and what an agent cannot reach."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, InfrastructureError, ReplyLost
from evolve.llm.base import Completion, Message, Request
from evolve.propose.agent import AgentModel, AgentProposer
from evolve.propose.base import Candidate, Rejected
from evolve.propose.workplace import changes, working_copy
from tests.propose.situations import SEED, Model, context, individual

pytestmark = pytest.mark.anyio
FILES = {"solve.py": SEED, "lib/more.py": "x = 1\n"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def agent(script: str, **config: object) -> AgentModel:
    """Return an agent that is a few lines of Python."""
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    settings = {"allow_uncontained": True, **config}
    return AgentModel(ModelConfig(id=f"agent/{command}", **settings), Path())


def request(files: dict[str, str] = FILES) -> Request:
    return Request((Message("user", "Make it better."), Message("user", json.dumps(files))))


EDIT = """
import pathlib, sys
task = sys.stdin.read()
file = pathlib.Path("solve.py")
file.write_text(file.read_text().replace("0.5", "0.7"))
pathlib.Path("scratch.txt").write_text("a note")
print("thinking about:", task)
print("A larger scale.")
"""


async def test_the_files_are_the_answer() -> None:
    reply = json.loads((await agent(EDIT).complete(request())).text)
    assert reply["files"] == {"solve.py": SEED.replace("0.5", "0.7")}
    assert reply["said"] == "thinking about: Make it better.\nA larger scale."


async def test_an_operator_makes_a_candidate_of_it() -> None:
    asked: list[Request] = []

    async def complete(model: str, sent: Request) -> Completion:
        asked.append(sent)
        return await agent(EDIT).complete(sent)

    operator = AgentProposer(model="agent/x", folder=Path())
    given = context(individual(1), model=complete)  # type: ignore[arg-type]  # a way to a model
    result = await operator.propose(given)
    assert isinstance(result, Candidate)
    assert result.program.files == {"solve.py": SEED.replace("0.5", "0.7")}
    assert (result.parents, result.summary) == ((1,), "A larger scale.")
    assert "working folder" in asked[0].messages[-2].content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps({"said": "", "files": {"solve.py": SEED + "\n# more"}}), "outside_blocks"),
        (json.dumps({"said": "", "files": {}}), "no_op"),
        ("I am no agent.", "malformed"),
    ],
)
async def test_answers_that_are_no_candidate(text: str, reason: str) -> None:
    operator = AgentProposer(model="agent/x", folder=Path())
    result = await operator.propose(context(individual(1), model=Model([text])))
    assert isinstance(result, Rejected)
    assert result.reason == reason


async def test_an_agent_gets_no_secret_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "another-secret")
    monkeypatch.setenv("AGENT_KEY", "its-own-secret")
    tell = "import os, pathlib; pathlib.Path('solve.py').write_text(repr(dict(os.environ)))"
    reply = json.loads((await agent(tell, pass_env=["AGENT_KEY"]).complete(request())).text)
    seen = reply["files"]["solve.py"]
    assert "AGENT_KEY" in seen
    assert "OTHER_KEY" not in seen
    assert "its-own-secret" not in seen, "and cannot hand it on"


async def test_what_is_done_when_the_time_is_up_counts() -> None:
    slow = EDIT.replace("print(", "import time; time.sleep(60); print(", 1)
    found: Completion | None = None
    for timeout_s in (1, 5, 25):  # on a busy machine it takes a while to change anything
        with suppress(ReplyLost):
            found = await agent(slow, timeout_s=timeout_s).complete(request())
            break
    assert found is not None
    assert set(json.loads(found.text)["files"]) == {"solve.py"}
    with pytest.raises(ReplyLost, match="had changed nothing"):
        await agent("import time; time.sleep(60)", timeout_s=0.5).complete(request())
    with pytest.raises(InfrastructureError, match="ended with 3"):
        await agent("raise SystemExit(3)").complete(request())


def test_nothing_is_read_through_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "more.py").write_text("the host's")
    with working_copy(FILES) as root:
        assert changes(root, FILES) == {}
        (root / "solve.py").unlink()
        (root / "solve.py").symlink_to(secret)
        (root / "lib" / "more.py").unlink()
        (root / "lib").rmdir()
        (root / "lib").symlink_to(tmp_path / "folder")
        assert changes(root, FILES) == {}
    with working_copy(FILES) as root:
        (root / "solve.py").unlink()
        os.mkfifo(root / "solve.py")
        (root / "lib" / "more.py").write_bytes(b"\xff\xfe")
        assert changes(root, FILES) == {}
    assert not root.exists()


def test_an_agent_without_a_container_needs_a_word() -> None:
    with pytest.raises(ConfigError, match="needs a container"):
        AgentModel(ModelConfig(id="agent/python3"), Path())


@pytest.mark.docker
async def test_a_contained_agent_edits_its_copy_and_sees_nothing_else() -> None:
    image = docker("images", "-q", "evolve-sandbox").split()[0]
    look = """
import os, pathlib, socket
seen = [os.path.exists("/work/solve.py"), os.getuid() != 0, os.path.exists("/root/.ssh")]
try:
    socket.create_connection(("1.1.1.1", 53), timeout=1); seen.append("network")
except OSError: seen.append("no network")
try:
    pathlib.Path("/etc/x").write_text("x"); seen.append("writable")
except OSError: seen.append("read-only")
pathlib.Path("solve.py").write_text(repr(seen))
"""
    container = {"image": image, "network": "none"}
    command = f"agent/python3 -c {shlex.quote(look)}"
    model = AgentModel(ModelConfig(id=command, container=container), Path())
    reply = json.loads((await model.complete(request())).text)
    assert reply["files"]["solve.py"] == "[True, True, False, 'no network', 'read-only']"
    slow = ModelConfig(
        id="agent/python3 -c 'import time; time.sleep(600)'",
        container=container,
        timeout_s=3,
    )
    with pytest.raises(ReplyLost):
        await AgentModel(slow, Path()).complete(request())
    assert docker("ps", "-aq", "--filter", "name=evolve-agent-") == ""


def docker(*arguments: str) -> str:
    ran = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return ran.stdout
