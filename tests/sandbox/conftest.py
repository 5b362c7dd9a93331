"""One slot of each kind of sandbox, opened once per module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from evolve.core.limits import Limits
from evolve.sandbox.base import Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox

SLOT_LIMITS = Limits(wall_s=30.0, memory_mb=192, processes=16, disk_mb=16, output_kb=4, result_mb=4)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(
    scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)]
)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return DockerSandbox(run_label="tests") if request.param == "docker" else ProcessSandbox()


@pytest.fixture(scope="module")
async def slot(sandbox: Sandbox, anyio_backend: str) -> AsyncIterator[Slot]:
    opened = await sandbox.open_slot(0, SLOT_LIMITS)
    try:
        yield opened
    finally:
        await opened.aclose()
