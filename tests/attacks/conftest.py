"""The slots under attack, and the secrets they are after."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evolve.core.limits import Limits
from evolve.sandbox.base import Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox

LIMITS = Limits(wall_s=10.0, memory_mb=256, processes=24, disk_mb=16, output_kb=4, result_mb=4)
DOCKER = pytest.mark.docker
SLOW = pytest.mark.slow


@dataclass(frozen=True)
class Secrets:
    """What no program may find: a text in files, environment and memory, and a listening port."""

    answer: str
    port: int


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def secrets() -> Iterator[Secrets]:
    answer = "answer-" + "123456" * 2
    path = Path("/tmp/evolve-attack-suite-answer.txt")  # where a careless evaluator might put it
    path.write_text(answer)
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        patch.setenv("EVOLVE_ATTACK_SUITE_KEY", answer)
        yield Secrets(answer, server.getsockname()[1])
    path.unlink()


@pytest.fixture(
    scope="module",
    params=[
        "process",
        pytest.param("docker", marks=DOCKER),
        pytest.param("docker, a container each", marks=[DOCKER, SLOW]),
    ],
)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "process":
        return ProcessSandbox()
    isolation = "slot" if request.param == "docker" else "container"
    return DockerSandbox(isolation=isolation, run_label="attacks")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def slot(sandbox: Sandbox, secrets: Secrets, anyio_backend: str) -> AsyncIterator[Slot]:
    opened = await sandbox.open_slot(0, LIMITS)
    try:
        yield opened
    finally:
        await opened.aclose()
