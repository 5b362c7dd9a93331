"""An engine that is restarted in the middle of a run costs time, and nothing else."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.recipe import ImageRecipe
from evolve.pool import local
from evolve.pool.local import LocalPool
from evolve.sandbox.base import Job
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.image import ensure_image
from tests.sandbox.private_engine import private_engine

pytestmark = [pytest.mark.anyio, pytest.mark.docker, pytest.mark.slow]

LIMITS = Limits(wall_s=20.0, memory_mb=128)
JOB = Job(Program({"p.py": "def f(x):\n    return x + 1\n"}), "f", LIMITS)


async def evaluate(pool: LocalPool) -> Outcome:
    async with pool.lease() as slot, slot.session(JOB) as session:
        reply = await session.call({"x": 1})
        return reply.outcome


async def test_slots_are_rebuilt_when_the_engine_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "RETRY_S", (0.2, 0.5))
    reports: list[str] = []
    with private_engine() as engine:
        engine.start()
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        with engine.client() as client:
            plain = ImageRecipe(requirements=())
            image = await anyio.to_thread.run_sync(ensure_image, client, plain)
        sandbox = DockerSandbox(image=image.tag)
        async with LocalPool(sandbox, 2, LIMITS, report=reports.append) as pool:
            assert await evaluate(pool) is Outcome.OK
            await anyio.to_thread.run_sync(engine.stop)
            for _ in range(2):
                with pytest.raises(InfrastructureError):
                    await evaluate(pool)
            await anyio.sleep(1.0)
            await anyio.to_thread.run_sync(engine.start)
            with anyio.fail_after(60):
                outcomes = [await evaluate(pool) for _ in range(4)]
    assert outcomes == [Outcome.OK] * 4
    assert any("cannot be reopened, next try in" in report for report in reports)
