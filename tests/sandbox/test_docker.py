"""The docker sandbox: hardening, and what it does when containers, controllers or engines fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import docker
import pytest
from docker.models.containers import Container

from evolve.core.errors import InfrastructureError, SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job, Reply, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.reaper import LABEL, Controller, reap_containers

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

LIMITS = Limits(wall_s=30.0, memory_mb=128, processes=12, disk_mb=16)


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    connection = docker.from_env()
    yield connection
    connection.close()


def containers(client: docker.DockerClient, controller: object = None) -> list[Container]:
    label = f"{LABEL}={controller or Controller.this()}"
    return client.containers.list(all=True, filters={"label": label})


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Slot]:
    slot = await DockerSandbox(**options).open_slot(7, LIMITS)
    try:
        yield slot
    finally:
        await slot.aclose()


async def call(slot: Slot, source: str, limits: Limits = LIMITS) -> Reply:
    async with slot.session(Job(Program({"p.py": source}), "solve", limits)) as session:
        return await session.call({})


async def test_containers_are_hardened_labelled_and_removed(client: docker.DockerClient) -> None:
    async with opened(run_label="run-1"):
        [container] = containers(client)
        settings = container.attrs["HostConfig"]
        assert settings["NetworkMode"] == "none"
        assert settings["ReadonlyRootfs"]
        assert settings["CapDrop"] == ["ALL"]
        assert sorted(name.removeprefix("CAP_") for name in settings["CapAdd"]) == [
            "CHOWN",
            "SETGID",
            "SETUID",
        ]
        assert "no-new-privileges" in settings["SecurityOpt"]
        assert settings["Memory"] == settings["MemorySwap"] > 128 << 20
        assert settings["PidsLimit"] == 20
        assert settings["NanoCpus"] == 1_000_000_000
        assert settings["LogConfig"]["Type"] == "none"
        assert not settings["AutoRemove"]
        assert not settings["Privileged"]
        assert {mount["Destination"]: mount["RW"] for mount in container.attrs["Mounts"]} == {
            "/opt/evolve": False,
            "/run/evolve.sock": True,
        }
        assert container.labels["evolve.run"] == "run-1"
        assert container.labels["evolve.slot"] == "7"
    assert containers(client) == []


async def test_a_container_killed_from_outside_is_an_infrastructure_fault(
    client: docker.DockerClient,
) -> None:
    async with opened() as slot:

        async def kill() -> None:
            await anyio.sleep(0.5)
            await anyio.to_thread.run_sync(containers(client)[0].kill)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            with pytest.raises(InfrastructureError):
                await call(slot, "import time\ndef solve(): time.sleep(30)")
        assert (await call(slot, "def solve(): return 5")).value == 5
        assert len(containers(client)) == 1


async def test_each_program_has_its_container_when_asked(client: docker.DockerClient) -> None:
    async with opened(isolation="container") as slot:
        before = [container.id for container in containers(client)]
        assert (await call(slot, "def solve(): return 5")).value == 5
        after = [container.id for container in containers(client)]
        assert len(before) == len(after) == 1
        assert before != after


CONTROLLER = """
import anyio
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.reaper import Controller

async def main():
    slot = await DockerSandbox().open_slot(0, Limits())
    source = "def solve():\\n    while True: pass"
    async with slot.session(Job(Program({"p.py": source}), "solve", Limits())) as session:
        print(Controller.this(), flush=True)
        await session.call({})

anyio.run(main)
"""


async def test_a_killed_controllers_container_ends_and_is_reaped(
    client: docker.DockerClient,
) -> None:
    def run_and_kill() -> str:
        with subprocess.Popen([sys.executable, "-c", CONTROLLER], stdout=subprocess.PIPE) as done:
            assert done.stdout is not None
            name = done.stdout.readline().decode().strip()
            time.sleep(0.3)
            done.kill()
        return name

    controller = await anyio.to_thread.run_sync(run_and_kill)
    [container] = containers(client, controller)
    container.wait(timeout=60)
    reap_containers(client)
    assert containers(client, controller) == []


async def test_containers_of_living_controllers_are_left_alone(
    client: docker.DockerClient,
) -> None:
    async with opened() as slot:
        reap_containers(client)
        assert (await call(slot, "def solve(): return 5")).value == 5


async def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match="no image 'no/such:image'"):
        async with opened(image="no/such:image"):
            pytest.fail("it opened")


async def test_a_runtime_that_is_not_there_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match=r"no runtime .no-such-runtime.; it has: .*runc"):
        async with opened(runtime="no-such-runtime"):
            pytest.fail("it opened")


async def test_memory_of_grandchildren_is_limited() -> None:
    source = """
import os
def solve():
    if os.fork() == 0:
        held = b"x" * (1 << 30)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])
"""
    async with opened() as slot:
        reply = await call(slot, source)
        assert reply.outcome is Outcome.OUT_OF_MEMORY or reply.value == -9


@pytest.mark.slow
async def test_hundreds_of_programs_leave_the_container_as_it_was(
    client: docker.DockerClient,
) -> None:
    async with opened() as slot:
        await call(slot, "import numpy\ndef solve(): return 5")
        [container] = containers(client)

        def size() -> int:
            stats: Any = container.stats(stream=False)
            held = stats["memory_stats"]["stats"]
            return int(held["rss"] if "rss" in held else held["anon"])  # by version of cgroups

        before = await anyio.to_thread.run_sync(size)
        for number in range(300):
            assert (await call(slot, f"def solve(): return {number}")).value == number
        after = await anyio.to_thread.run_sync(size)
        assert after - before < 8 << 20
        assert [item.id for item in containers(client)] == [container.id]
