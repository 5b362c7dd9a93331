"""Leases: a slot is lent whole and alone, waits in line, and always comes back."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from evolve.core.errors import PrerequisiteError, SandboxUnavailable
from evolve.core.limits import Limits
from evolve.pool.local import LocalPool
from evolve.sandbox.base import Job, Session, Slot

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeSlot:
    """A slot that counts who uses it."""

    def __init__(self, index: int) -> None:
        self.index, self.closed = index, False

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True


class FakeSandbox:
    """Opens fake slots, all of them at the same time; can refuse one."""

    name = "fake"
    accepts_untrusted = True

    def __init__(self, refuse: int = -1) -> None:
        self.slots: list[FakeSlot] = []
        self._refuse = refuse

    async def open_slot(self, index: int, limits: Limits) -> Slot:
        if index == self._refuse:
            raise SandboxUnavailable("no more")
        self.slots.append(slot := FakeSlot(index))
        return slot

    def guarantees(self) -> list[str]:
        return []

    def provenance(self) -> dict[str, str]:
        return {}


async def test_each_slot_is_lent_to_one_at_a_time() -> None:
    in_use: set[int] = set()
    served: list[int] = []

    async def work(pool: LocalPool) -> None:
        async with pool.lease() as slot:
            assert id(slot) not in in_use
            in_use.add(id(slot))
            assert pool.busy == len(in_use) <= 3
            await anyio.sleep(0.001)
            in_use.remove(id(slot))
            served.append(id(slot))

    async with LocalPool(FakeSandbox(), 3, Limits()) as pool, anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(work, pool)
    assert len(served) == 30
    assert len(set(served)) == 3
    assert pool.busy == 0


async def test_a_slot_comes_back_after_an_error_and_after_cancellation() -> None:
    async with LocalPool(FakeSandbox(), 1, Limits()) as pool:

        async def fail() -> None:
            async with pool.lease():
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        with anyio.move_on_after(0.01):
            async with pool.lease():
                await anyio.sleep_forever()
        with anyio.fail_after(1):
            async with pool.lease():
                assert pool.busy == 1
                with anyio.move_on_after(0.01) as waiting:
                    async with pool.lease():
                        pytest.fail("the only slot was lent twice")
                assert waiting.cancelled_caught
        assert pool.busy == 0


async def test_leaving_the_pool_closes_every_slot() -> None:
    sandbox = FakeSandbox()
    async with LocalPool(sandbox, 3, Limits()) as pool:
        assert pool.size == 3
        assert sorted(slot.index for slot in sandbox.slots) == [0, 1, 2]
    assert all(slot.closed for slot in sandbox.slots)


async def test_when_one_slot_cannot_be_opened_the_others_are_closed() -> None:
    sandbox = FakeSandbox(refuse=1)
    with pytest.raises(SandboxUnavailable, match="no more"):
        async with LocalPool(sandbox, 3, Limits()):
            pytest.fail("the pool opened")
    assert sandbox.slots
    assert all(slot.closed for slot in sandbox.slots)


async def test_devices_are_refused_with_the_way_out() -> None:
    with pytest.raises(PrerequisiteError, match="gpus: 0"):
        async with LocalPool(FakeSandbox(), 1, Limits(gpus=1)):
            pytest.fail("the pool opened")


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        LocalPool(FakeSandbox(), 0, Limits())
