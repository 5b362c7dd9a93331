"""Slots that come and go, with a cluster that is made up: no Ray here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from benchmarks.simulation.clock import VirtualClock
from evolve.core.errors import (
    EvaluatorError,
    InfrastructureError,
    PrerequisiteError,
    SandboxUnavailable,
    SlotLost,
)
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.pool.ray import pool as pool_module
from evolve.pool.ray.leases import Leases
from evolve.pool.ray.parcel import Head, reply_parcel, report_parcel, unpack
from evolve.pool.ray.place import LARGE_BYTES, Answer, Place
from evolve.pool.ray.pool import RayPool
from evolve.sandbox import wire
from evolve.sandbox.base import Job, Reply, Report

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


JOB = Job(Program({"p.py": "def f(x):\n    return x\n"}), "f", Limits(wall_s=5))
FACTS = {
    "guarantees": ["g"],
    "provenance": {"image": "1"},
    "hardware": {"cpu": "c"},
    "resources": "",
}


@dataclass
class FakeCluster:
    """Has room for so many places, whose programs return what they are given.

    Attributes:
        room: Places at once.
        silent: Numbers of places that answer nothing.
        asked: What they were asked to do, by place.
        shared: Hashes under which inputs came.
    """

    room: int = 2
    silent: set[int] = field(default_factory=set)
    facts: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    refuse: str = ""
    resources: Mapping[str, Any] = field(default_factory=lambda: {"num_cpus": 1})
    open_places: dict[int, Place] = field(default_factory=dict)
    asked: list[tuple[int, Head]] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    numbers: int = 0
    gently: list[bool] = field(default_factory=list)

    async def open(self, index: int) -> Place:
        if self.refuse:
            raise PrerequisiteError(self.refuse)
        await until(lambda: len(self.open_places) < self.room, math.inf)
        self.numbers += 1
        place = Place(self.numbers, index, self)
        place.facts = {**FACTS, "host": f"node{self.numbers}", **self.facts.get(self.numbers, {})}
        self.open_places[place.number] = place
        return place

    async def close(self, place: Place, *, gently: bool = True) -> None:
        self.open_places.pop(place.number, None)
        self.gently.append(gently)

    async def look(self) -> Mapping[str, Any]:
        return {"nodes": [{"resources": {"CPU": float(self.room)}}]}

    async def ask(self, place: Place, head: Head, data: bytes, share: str) -> Answer:
        self.asked.append((place.number, head))
        self.shared.append(share)
        async with anyio.create_task_group() as tasks:
            if place.number in self.silent and not place.lost.is_set():
                await place.lost.wait()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        if place.lost.is_set():
            return {"lost": place.why}, b""
        if self.answer is not None and head["do"] == "call":
            return self.answer, b""
        if head["do"] == "call":
            value = wire.loads(data)["x"]  # type: ignore[call-overload,index]  # a mapping
            return unpack(
                reply_parcel(Reply(Outcome.OK, usage=Usage(1), encoded=wire.dumps(value)))
            )
        if head["do"] == "close":
            return unpack(report_parcel(Report(Usage(2), "said")))
        return {}, b""


def pool_of(cluster: FakeCluster, slots: int = 2, **options: Any) -> RayPool:
    return RayPool(cluster, slots, Leases(), **options)


async def evaluate(pool: RayPool, value: object = 1) -> tuple[Reply, Report]:
    async with pool.lease() as slot:
        async with slot.session(JOB) as session:
            reply = await session.call({"x": value})  # type: ignore[dict-item]  # plain data
        return reply, session.report


async def until(true: Callable[[], object], within_s: float = 5.0) -> None:
    with anyio.fail_after(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await anyio.sleep(0.002)


async def test_programs_are_called_through_leases_with_growing_tokens() -> None:
    cluster = FakeCluster()
    async with pool_of(cluster) as pool:
        for number in range(4):
            reply, report = await evaluate(pool, number)
            assert reply.value == number
            assert report.stdout == "said"
        assert pool.busy == 0
    heads = [head for _, head in cluster.asked]
    assert [head["do"] for head in heads] == ["call", "close"] * 4
    assert [head["token"] for head in heads] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert all(("job" in head) == (head["do"] == "call") for head in heads), "loaded once each"
    assert not cluster.open_places
    assert cluster.gently == [True, True]


async def test_large_inputs_are_named_by_their_hash() -> None:
    cluster = FakeCluster()
    async with pool_of(cluster) as pool:
        for text in ("x" * LARGE_BYTES, "x" * LARGE_BYTES, "small"):
            await evaluate(pool, text)
    first, _, second, _, third, _ = cluster.shared
    assert len(first) == 64
    assert first == second
    assert not third


async def test_slots_join_and_leave_and_are_counted_while_they_are_there() -> None:
    cluster = FakeCluster(room=1)
    async with pool_of(cluster, 3) as pool:
        assert (pool.size, len(pool.busy_s), len(pool.there_s)) == (1, 3, 3)
        cluster.room = 3
        await until(lambda: pool.size == 3)
        assert pool.places == ("node1", "node2", "node3")
        cluster.room = 2
        gone = cluster.open_places.pop(2)
        gone.lose("preempted")
        await until(lambda: pool.size == 2)
        before = pool.there_s[gone.index]
        await anyio.sleep(0.02)
        assert pool.there_s[gone.index] == before
        for _ in range(4):
            await evaluate(pool)


async def test_work_in_flight_is_lost_once_and_its_late_answer_does_not_count() -> None:
    cluster, reports = FakeCluster(room=1, silent={1}), list[str]()
    async with pool_of(cluster, 1, report=reports.append) as pool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lose_soon, cluster, 1)
            with pytest.raises(SlotLost, match="cut off"):
                await evaluate(pool)
        assert (pool.leases.lost, pool.leases.late) == (1, 0)
        reply, _ = await evaluate(pool)
        assert reply.value == 1
    assert [number for number, head in cluster.asked if head["do"] == "call"] == [1, 2]
    assert "slot 0 on node1 is lost: cut off" in reports
    tokens = {head["token"] for _, head in cluster.asked}
    assert tokens == {1, 2}
    assert not pool.leases.counts(1)


async def lose_soon(cluster: FakeCluster, number: int) -> None:
    await until(lambda: cluster.asked)
    cluster.open_places[number].lose("cut off")


async def test_a_slot_that_gives_no_sign_of_life_is_lost() -> None:
    cluster = FakeCluster(room=1, silent={1})
    async with pool_of(cluster, 1, lost_s=0.1) as pool:
        await until(lambda: cluster.numbers == 2)
        assert (await evaluate(pool))[0].value == 1
        await anyio.sleep(0.3)
        assert cluster.numbers == 2, "one that answers is kept"


@pytest.mark.parametrize("silent", [False, True])
async def test_only_silence_that_was_listened_to_loses_a_slot(silent: bool) -> None:
    cluster = HeldUp(room=1, silent={1} if silent else set())
    async with pool_of(cluster, 1, lost_s=1.0):
        await anyio.sleep(30)
        assert (cluster.numbers > 1) == silent


class HeldUp(FakeCluster):
    """Does nothing for long while every other answer is on its way: a database does not answer."""

    pings = 0

    async def ask(self, place: Place, head: Head, data: bytes, share: str) -> Answer:
        self.pings += 1
        if self.pings % 2:
            clock: VirtualClock = time.monotonic.__self__  # type: ignore[attr-defined]  # it is one
            clock.charge(5.0)
        await anyio.sleep(0.01)
        return await super().ask(place, head, data, share)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"fault": "no runner"}, InfrastructureError),
        ({"stale": "an older lease"}, InfrastructureError),
        ({"lost": "died"}, SlotLost),
        ({"silent": "unreachable"}, SlotLost),
    ],
)
async def test_a_slot_that_failed_is_placed_anew(
    answer: dict[str, Any], error: type[Exception]
) -> None:
    cluster = FakeCluster(room=1, answer=answer)
    async with pool_of(cluster, 1) as pool:
        with pytest.raises(error):
            await evaluate(pool)
        cluster.answer = None
        assert (await evaluate(pool))[0].value == 1
        assert cluster.numbers == 2


async def test_a_mistake_of_the_evaluator_s_leaves_the_slot_as_it_is() -> None:
    cluster = FakeCluster(room=1, answer={"evaluator": "a command has no functions"})
    async with pool_of(cluster, 1) as pool:
        with pytest.raises(EvaluatorError, match="no functions"):
            await evaluate(pool)
        cluster.answer = None
        assert (await evaluate(pool))[0].value == 1
        assert cluster.numbers == 1


async def test_a_slot_in_another_sandbox_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "RETRY_S", (0.01, 0.01))
    other = {"provenance": {"image": "2"}}
    cluster, reports = FakeCluster(room=2, facts={2: other, 3: other}), list[str]()
    async with pool_of(cluster, 2, report=reports.append) as pool:
        await until(lambda: pool.size == 2)
        assert pool.places == ("node1", "node4")
    assert reports[0].startswith(
        "slot 1 on node2 is not used: its provenance is {'image': '2'}, that of the first, on node1"
    )


async def test_hardware_matters_where_programs_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "RETRY_S", (0.01, 0.01))
    slow: dict[int, Mapping[str, Any]] = {2: {"hardware": {"cpu": "slow"}}}
    async with pool_of(FakeCluster(facts=slow)) as pool:
        await until(lambda: pool.size == 2)
        assert "node2" in pool.places
    async with pool_of(FakeCluster(facts=slow), compare_hardware=True) as pool:
        await until(lambda: pool.size == 2)
        assert "node2" not in pool.places


async def test_a_cluster_that_refuses_is_no_pool() -> None:
    with pytest.raises(PrerequisiteError, match="no Docker"):
        async with pool_of(FakeCluster(refuse="no Docker")):
            pytest.fail("the pool opened")


async def test_without_any_slot_the_wait_is_told_and_has_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "LOOK_S", 0.01)
    reports: list[str] = []
    cluster = FakeCluster(room=0)
    with pytest.raises(SandboxUnavailable, match=r"has been there for 0.05 s \(pool.wait_s\)"):
        async with pool_of(cluster, wait_s=0.05, report=reports.append):
            pytest.fail("the pool opened")
    cluster.room = 1
    async with pool_of(cluster, 1, wait_s=0.05, report=reports.append) as pool:
        cluster.room = 0
        next(iter(cluster.open_places.values())).lose("gone")
        with anyio.fail_after(1), pytest.raises(SandboxUnavailable, match="run again to resume"):
            async with pool.lease():
                pytest.fail("a slot from nowhere")


async def test_leaving_a_lease_for_an_error_of_ones_own_ends_the_session() -> None:
    cluster = FakeCluster(room=1)
    async with pool_of(cluster, 1) as pool:

        async def fail() -> None:
            async with pool.lease() as slot, slot.session(JOB) as session:
                await session.call({"x": 1})
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert [head["do"] for _, head in cluster.asked] == ["call", "close"]
        await evaluate(pool)
        assert cluster.numbers == 1
