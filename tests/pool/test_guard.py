"""Devices are clean before a program runs on them, watched meanwhile, and alive afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest

from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.values import Value
from evolve.pool import guard as guarding
from evolve.pool.devices import DeviceState
from evolve.pool.guard import DeviceGuard, GuardedSlot
from evolve.sandbox.base import Job, Reply, Report, Session
from tests.pool.fake_devices import FakeDevices, gpu

pytestmark = pytest.mark.anyio

GPU = gpu(0)
PROGRAM = Program({"p.py": "def f(): pass\n"})
GIB = 1 << 30


class FakeSlot(Session):
    """A slot whose program does to the devices what a test wants."""

    def __init__(self, devices: FakeDevices) -> None:
        self.devices, self.calls, self.closed = devices, 0, False
        self.uses, self.leaves = DeviceState(), DeviceState()
        self.takes_s = 0.0

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        self.devices.states[GPU.id] = self.uses
        yield self
        self.devices.states[GPU.id] = self.leaves

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        self.calls += 1
        await anyio.sleep(self.takes_s)
        if inputs.get("broken"):
            raise InfrastructureError("the slot broke")
        return Reply(Outcome.OK, 1)

    @property
    def report(self) -> Report:
        return Report(stdout="said")

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def devices() -> FakeDevices:
    return FakeDevices([GPU])


@pytest.fixture
def inner(devices: FakeDevices) -> FakeSlot:
    return FakeSlot(devices)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "SETTLE_S", 0.05)
    monkeypatch.setattr(guarding, "LOOK_S", 0.01)


async def guarded(inner: FakeSlot, *, alone: bool = True) -> GuardedSlot:
    guard = DeviceGuard([GPU], inner.devices, alone=alone)
    await guard.begin()
    return GuardedSlot(inner, guard)


async def evaluate(slot: GuardedSlot, cap: int | None = None, **inputs: Value) -> Reply:
    job = Job(PROGRAM, "f", Limits(gpus=1, gpu_memory_mb=cap))
    async with slot.session(job) as session:
        reply = await session.call(inputs)
        again = await session.call(inputs)
        assert again.outcome is reply.outcome
        assert session.report.stdout == "said"
    return reply


async def test_a_program_that_leaves_nothing_is_followed_by_the_next(inner: FakeSlot) -> None:
    slot = await guarded(inner)
    inner.uses = DeviceState(40 * GIB, frozenset({7}))
    for _ in range(2):
        assert (await evaluate(slot)).outcome is Outcome.OK
    await slot.aclose()
    assert inner.closed


async def test_the_driver_has_time_to_clean_up(
    inner: FakeSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "SETTLE_S", 20.0)
    slot = await guarded(inner)
    inner.leaves = DeviceState(GIB, frozenset({7}))
    await evaluate(slot)
    async with anyio.create_task_group() as group:

        async def clean_up() -> None:
            await anyio.sleep(0.02)
            inner.devices.states[GPU.id] = DeviceState()

        group.start_soon(clean_up)
        assert (await evaluate(slot)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (DeviceState(0, frozenset({7, 8})), f"processes 7, 8 are on {GPU.id}"),
        (DeviceState(GIB), f"1024 MiB of memory are in use on {GPU.id}"),
    ],
)
async def test_what_a_dead_program_left_is_a_fault_and_no_program_runs_on_it(
    inner: FakeSlot, left: DeviceState, message: str
) -> None:
    slot = await guarded(inner)
    inner.leaves = left
    await evaluate(slot)
    calls = inner.calls
    with pytest.raises(InfrastructureError, match=message):
        await evaluate(slot)
    assert inner.calls == calls


async def test_other_users_of_a_device_are_not_taken_for_left_overs(inner: FakeSlot) -> None:
    others = DeviceState(30 * GIB, frozenset({3}))
    inner.devices.states[GPU.id] = others
    slot = await guarded(inner)
    inner.leaves = DeviceState(60 * GIB, frozenset({3}))
    await evaluate(slot)
    await evaluate(slot)
    inner.leaves = DeviceState(30 * GIB, frozenset({3, 4}))
    await evaluate(slot)
    with pytest.raises(InfrastructureError, match="processes 4 are on"):
        await evaluate(slot)


async def test_on_a_shared_device_nobody_knows_whose_things_are_left(inner: FakeSlot) -> None:
    slot = await guarded(inner, alone=False)
    inner.leaves = DeviceState(GIB, frozenset({7}))
    await evaluate(slot)
    assert (await evaluate(slot)).outcome is Outcome.OK


@pytest.mark.parametrize("alone", [False, True])
async def test_a_device_that_is_lost_is_never_the_programs_fault(
    inner: FakeSlot, alone: bool
) -> None:
    slot = await guarded(inner, alone=alone)

    async def lose_it() -> None:
        async with slot.session(Job(PROGRAM, "f", Limits(gpus=1))) as session:
            await session.call({})
            inner.devices.lost.add(GPU.id)

    with pytest.raises(InfrastructureError, match="GPU is lost"):
        await lose_it()
    with pytest.raises(InfrastructureError, match="GPU is lost"):
        await evaluate(slot)


async def test_too_much_device_memory_ends_a_program(inner: FakeSlot) -> None:
    slot = await guarded(inner)
    inner.uses, inner.takes_s = DeviceState(3 * GIB, frozenset({7})), 30.0
    with anyio.fail_after(20):
        reply = await evaluate(slot, cap=2048)
    assert reply.outcome is Outcome.OUT_OF_MEMORY
    assert reply.message == (
        "used 3072 MiB of GPU memory; 2048 MiB are allowed (limits.gpu_memory_mb)"
    )
    assert reply.usage.wall_ns > 0
    inner.uses, inner.takes_s = DeviceState(GIB, frozenset({7})), 0.05
    assert (await evaluate(slot, cap=2048)).outcome is Outcome.OK


async def test_faults_of_a_watched_slot_are_raised_as_they_are(inner: FakeSlot) -> None:
    slot = await guarded(inner)
    with pytest.raises(InfrastructureError, match="the slot broke"):
        await evaluate(slot, cap=2048, broken=True)
    inner.takes_s = 30.0

    async def lose_it() -> None:
        job = Job(PROGRAM, "f", Limits(gpus=1, gpu_memory_mb=2048))
        async with slot.session(job) as session:
            inner.devices.lost.add(GPU.id)
            await session.call({})

    with pytest.raises(InfrastructureError, match="GPU is lost"):
        await lose_it()
