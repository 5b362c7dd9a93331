"""Parcels arrive as they were sent, whoever sends at the same time."""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from typing import Any

import anyio
import pytest

from evolve.core.command import Command
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.recipe import ImageRecipe
from evolve.pool.ray.blueprint import Blueprint, job_dict, job_of
from evolve.pool.ray.parcel import (
    Channel,
    pack,
    reply_of,
    reply_parcel,
    report_of,
    report_parcel,
    unpack,
)
from evolve.sandbox.base import Job, Reply, Report
from evolve.sandbox.spec import SandboxSpec
from evolve.sandbox.stream import SocketStream


def test_bytes_are_carried_untouched() -> None:
    data = bytes(range(256)) * 3
    assert unpack(pack({"a": [1, "ü\x00"]}, data)) == ({"a": [1, "ü\x00"]}, data)
    reply = Reply(Outcome.OK, usage=Usage(1, 2, 3), encoded=b"\x80\x04cos\nsystem\n.")
    assert reply_of(*unpack(reply_parcel(reply))) == reply
    report = Report(Usage(4, 5, 6), "out", "err\ufffd", 0.25)
    assert report_of(unpack(report_parcel(report))[0]) == report


def test_jobs_and_blueprints_survive_the_journey() -> None:
    program = Program({"a.py": "x = 1\n", "b/c.py": "y = 2\n"})
    for job in (
        Job(program, "a.py:f", Limits(wall_s=3, cpu_s=2.5), "def run(): ...\n"),
        Job(program, "", Limits(), command=Command(("./a", "b"), ("make",))),
    ):
        assert job_of(unpack(pack(job_dict(job)))[0]) == job
    recipe = ImageRecipe(requirements=("numpy>=2",), system_packages=("g++",))
    spec = SandboxSpec("docker", {"image": recipe, "isolation": "slot", "runtime": None})
    blueprint = Blueprint(spec, Limits(gpus=1), timed=True, pool={"pin_cpus": "auto"}, shared=True)
    assert Blueprint.from_dict(unpack(pack(blueprint.as_dict()))[0]) == blueprint
    assert blueprint.sandbox.make().name == "docker"


@pytest.mark.anyio
async def test_parcels_of_several_senders_do_not_mix() -> None:
    ours, theirs = map(SocketStream, socket.socketpair())
    sender, receiver = Channel(ours), Channel(theirs)
    received: list[tuple[dict[str, Any], bytes]] = []
    async with anyio.create_task_group() as tasks:

        async def send(number: int) -> None:
            moment = math.inf if number % 4 == 3 else 0.0001 * number
            with anyio.move_on_after(moment):  # cancelled at any moment: whole, or not
                await sender.send({"n": number}, bytes([number]) * 100_000)

        async def receive() -> None:
            with suppress(anyio.EndOfStream):
                while True:
                    received.append(await receiver.receive())

        tasks.start_soon(receive)
        async with anyio.create_task_group() as senders:
            for number in range(20):
                senders.start_soon(send, number)
        await sender.aclose()
    assert {3, 7, 11, 15, 19} <= {head["n"] for head, _ in received}
    for head, data in received:
        assert data == bytes([head["n"]]) * 100_000
    with pytest.raises(anyio.EndOfStream):
        await receiver.receive()
    await receiver.aclose()
