"""A session in a task of its own is left when it is told to, whatever goes on in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest

from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.core.values import Value
from evolve.pool.ray.serving import Serving
from evolve.sandbox.base import Reply, Report, Session

pytestmark = pytest.mark.anyio


class Echo(Session):
    """Answers with what it is asked."""

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        raise NotImplementedError

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        if function == "hang":
            await anyio.sleep_forever()
        return Reply(Outcome.OK, encoded=inputs)

    @property
    def report(self) -> Report:
        return Report(stdout="echoed")


@pytest.mark.parametrize("slow", ["to be entered", "to answer"])
async def test_a_call_under_way_is_given_up(slow: str) -> None:
    serving, entering = Serving(), anyio.Event()

    @asynccontextmanager
    async def session() -> AsyncIterator[Session]:
        entering.set()
        if slow == "to be entered":
            await anyio.sleep_forever()
        yield Echo()

    async def ask() -> None:
        with pytest.raises(InfrastructureError):
            await serving.call("hang", b"1")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(serving.run, session)
            await entering.wait()
            await anyio.wait_all_tasks_blocked()
            assert await serving.end() == Report()


async def test_an_idle_session_is_left_with_its_report() -> None:
    @asynccontextmanager
    async def session() -> AsyncIterator[Session]:
        yield Echo()

    serving = Serving()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serving.run, session)
            assert (await serving.call("", b"1")).encoded == b"1"
            assert await serving.end() == Report(stdout="echoed")
