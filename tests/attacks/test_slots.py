"""Slots side by side: what runs in one neither sees nor harms what runs in another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from evolve.core.evaluation import Outcome
from evolve.core.program import Program
from evolve.sandbox.base import Job, Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox
from tests.attacks.conftest import DOCKER, LIMITS

pytestmark = pytest.mark.anyio

#: Takes what the kernel counts per user, and tries to be found.
HOSTILE = """
import ctypes, os, signal, socket, time
def solve():
    held = [socket.socket(socket.AF_UNIX)]
    held[0].bind("\\0planted")
    held[0].listen()
    for place in ("/dev/shm", "/tmp", "/run/program", "/dev/mqueue"):
        try:
            open(place + "/planted", "w").close()
        except OSError:
            pass
    for i in range(300):  # watches: a number of them per user
        if (watch := ctypes.CDLL(None).inotify_init()) < 0:
            break
        held.append(watch)
    for _ in range(20):
        for target in (-1, *range(2, 200)):
            if target != os.getpid():
                try:
                    os.kill(target, signal.SIGTERM)
                except OSError:
                    pass
        time.sleep(0.05)
    return os.getuid()
"""
HONEST = """
import ctypes, os, socket, time
def solve():
    found = []
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect("\\0planted")
                found.append("socket")
            except OSError:
                pass
        for place in ("/dev/shm", "/tmp", "/run/program", "/dev/mqueue"):
            try:
                found += [place for name in os.listdir(place) if "planted" in name]
            except OSError:
                pass
        time.sleep(0.05)
    if ctypes.CDLL(None).inotify_init() < 0:
        found.append("no watch left")
    return [os.getuid(), found]
"""


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=DOCKER)])
async def slots(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[tuple[Sandbox, list[Slot]]]:
    sandbox: Sandbox = ProcessSandbox() if request.param == "process" else DockerSandbox()
    opened: list[Slot] = []
    try:
        for index in range(2):
            opened.append(await sandbox.open_slot(index, LIMITS))  # noqa: PERF401 - each to be closed
        yield sandbox, opened
    finally:
        for slot in opened:
            await slot.aclose()


async def test_neighbours_neither_see_nor_harm_each_other(
    slots: tuple[Sandbox, list[Slot]],
) -> None:
    sandbox, opened = slots
    isolation = sandbox.provenance()["isolation"]
    if sandbox.name == "process" and not {"namespaces", "users"} <= set(isolation.split()):
        pytest.skip("the process sandbox promises no such isolation to an ordinary user")
    replies = {}

    async def run(slot: Slot, name: str, source: str) -> None:
        async with slot.session(Job(Program({"p.py": source}), "solve", LIMITS)) as session:
            replies[name] = await session.call({})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, opened[0], "hostile", HOSTILE)
        tasks.start_soon(run, opened[1], "honest", HONEST)
    assert replies["hostile"].outcome in {Outcome.OK, Outcome.SIGNAL}, replies["hostile"].message
    honest = replies["honest"]
    assert honest.outcome is Outcome.OK, honest.message
    assert honest.value[1] == []  # type: ignore[index]
    if replies["hostile"].outcome is Outcome.OK:
        assert honest.value[0] != replies["hostile"].value  # type: ignore[index]
