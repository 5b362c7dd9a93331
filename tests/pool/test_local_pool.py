"""Leases: a slot is lent whole and alone, waits in line, and always comes back."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from evolve.core.errors import InfrastructureError, SandboxUnavailable
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool import local
from evolve.pool.local import LocalPool
from evolve.sandbox.base import ANY_RESOURCES, Job, Session, Slot

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


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
        self.refuse, self.refuse_all = refuse, False

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> Slot:
        if self.refuse_all or index == self.refuse:
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


async def test_a_broken_slot_is_replaced_while_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "RETRY_S", (0.05, 0.05))
    sandbox, reports = FakeSandbox(), list[str]()
    async with LocalPool(sandbox, 2, Limits(), report=reports.append) as pool:
        broken = await break_one(pool)
        sandbox.refuse = broken.index
        with anyio.fail_after(1):
            for _ in range(5):
                async with pool.lease() as slot:
                    assert slot is not broken
                    await anyio.sleep(0.02)
        assert broken.closed
        assert reports
        assert reports[0] == (
            f"slot {broken.index} cannot be reopened, next try in 0.05 s: no more"
        )
        sandbox.refuse = -1
        with anyio.fail_after(1):
            async with pool.lease(), pool.lease():
                assert pool.busy == 2
    assert all(slot.closed for slot in sandbox.slots)


async def test_when_nothing_works_any_more_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "RETRY_S", (0.01, 0.01))
    monkeypatch.setattr(local, "GIVE_UP_S", 0.05)
    sandbox = FakeSandbox()
    async with LocalPool(sandbox, 2, Limits()) as pool:
        sandbox.refuse = 0
        await break_one(pool)
        await break_one(pool)
        async with pool.lease() as slot:
            assert isinstance(slot, FakeSlot)
            assert slot.index == 1, "one slot that works is enough"
            sandbox.refuse_all = True
        with anyio.fail_after(1):
            await break_one(pool)
            with pytest.raises(SandboxUnavailable, match="the last trouble was: no more"):
                async with pool.lease():
                    pytest.fail("a slot from nowhere")


async def test_leaving_the_pool_ends_the_mending_of_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "RETRY_S", (60.0, 60.0))
    sandbox = FakeSandbox()
    with anyio.fail_after(1):
        async with LocalPool(sandbox, 1, Limits()) as pool:
            sandbox.refuse_all = True
            await break_one(pool)
            await anyio.sleep(0.01)


async def test_an_error_of_the_body_leaves_the_pool_as_it_is() -> None:
    with pytest.raises(KeyError):  # not in a group
        async with LocalPool(FakeSandbox(), 1, Limits()):
            raise KeyError


async def test_time_lent_is_counted_by_slot() -> None:
    async with LocalPool(FakeSandbox(), 2, Limits()) as pool:
        assert pool.busy_s == (0.0, 0.0)
        async with pool.lease():
            await anyio.sleep(0.05)
            assert sorted(pool.busy_s) == [0.0, pytest.approx(0.05)]
        await anyio.sleep(0.05)
        assert sorted(pool.busy_s) == [0.0, pytest.approx(0.05)]


async def break_one(pool: LocalPool) -> FakeSlot:
    """Lease a slot, break it, and return it."""
    used: list[Slot] = []

    async def use() -> None:
        async with pool.lease() as slot:
            used.append(slot)
            raise InfrastructureError("broken")

    with pytest.raises(InfrastructureError, match="broken"):
        await use()
    assert isinstance(used[0], FakeSlot)
    return used[0]


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        LocalPool(FakeSandbox(), 0, Limits())
