"""The slots under attack, the scorer behind them, and the secrets the attacks are after."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evolve.config.problem import load_problem
from evolve.core.limits import Limits
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.sandbox.base import Sandbox
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox
from evolve.sandbox.slot import RunnerSlot

LIMITS = Limits(wall_s=10.0, memory_mb=256, processes=24, disk_mb=16, output_kb=4, result_mb=4)
DOCKER = pytest.mark.docker
SLOW = pytest.mark.slow
#: The sandboxes under attack, as the table in the documentation calls them.
KINDS = ("process", "docker", "docker, a container each")

_PROBLEM = """\
title: A secret
seed_program: seed.py
entrypoint: solve
evaluator: ./vault.py:Vault
evaluator_options: {{answer: {answer}}}
objective: {{name: found, direction: maximize}}
measures: [{{name: code_length, low: 0, high: 100}}]
"""


@dataclass(frozen=True)
class Secrets:
    """What no program may find: a text in files, environment and memory, and a listening port.

    Attributes:
        answer: The text.
        port: Where something listens.
        problem: Folder of the problem, the evaluator and the answer in it.
        mark: What code makes that got out of a sandbox.
    """

    answer: str
    port: int
    problem: Path
    mark: Path


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def secrets() -> Iterator[Secrets]:
    answer = "answer-" + "123456" * 2
    # Where a careless evaluator might keep it: not in pytest's folders, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="attack-suite-"))
    folder.chmod(0o777)
    (folder / "problem.yaml").write_text(_PROBLEM.format(answer=answer))
    (folder / "prompt.md").write_text("Find the secret.\n")
    (folder / "seed.py").write_text("def solve():\n    return []\n")
    shutil.copy(Path(__file__).with_name("vault.py"), folder)
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        patch.setenv("EVOLVE_ATTACK_SUITE_KEY", answer)
        yield Secrets(answer, server.getsockname()[1], folder, folder / "mark")
    shutil.rmtree(folder)


@pytest.fixture(
    scope="module",
    params=[
        KINDS[0],
        pytest.param(KINDS[1], marks=DOCKER),
        pytest.param(KINDS[2], marks=[DOCKER, SLOW]),
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(kind: str) -> Sandbox:
    if kind == KINDS[0]:
        return ProcessSandbox()
    isolation = "slot" if kind == KINDS[1] else "container"
    return DockerSandbox(isolation=isolation, run_label="attacks")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def slot(sandbox: Sandbox, secrets: Secrets, anyio_backend: str) -> AsyncIterator[RunnerSlot]:
    opened = await sandbox.open_slot(0, LIMITS)
    assert isinstance(opened, RunnerSlot)
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.fixture(scope="module")
async def evaluate(secrets: Secrets, anyio_backend: str) -> AsyncIterator[EvaluationService]:
    async with open_evaluation(load_problem(str(secrets.problem))) as service:
        yield service
