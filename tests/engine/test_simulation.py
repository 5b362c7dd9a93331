"""The simulation of many slots is honest: its time passes as it should, and work is counted."""

from __future__ import annotations

import time

import anyio
import pytest

from benchmarks.simulation.clock import VirtualClock
from benchmarks.simulation.point import Seen, simulate
from benchmarks.simulation.world import Latency, World

#: No chance and no failures: what comes out can be reckoned.
PLAIN = World(Latency(10.0, 0.0), Latency(0.0), crash=0, slot_fault=0, model_fault=0, useless=0)


def spin(seconds: float) -> None:
    """Use the CPU."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def run(clock: VirtualClock, tasks: int, sleep_s: float, work_s: float) -> float:
    """Have tasks sleep and then work, all at once; return how long that took."""

    async def one() -> None:
        await anyio.sleep(sleep_s)
        spin(work_s)

    async def all_of_them() -> float:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(one)
        return anyio.current_time() - began

    with clock.installed():
        return anyio.run(all_of_them, backend_options={"loop_factory": clock.loop})


def test_waits_are_skipped_and_work_takes_its_time() -> None:
    clock, began = VirtualClock(), time.monotonic()
    assert run(clock, tasks=10, sleep_s=1000.0, work_s=0.02) == pytest.approx(1000.2, abs=0.1)
    assert time.monotonic() - began < 100


def test_what_is_done_outside_takes_no_time_and_what_is_charged_does() -> None:
    clock = VirtualClock()
    began = clock.now()
    with clock.outside():
        spin(0.05)
        assert clock.now() - began < 0.04
    clock.charge(3.0)
    assert clock.now() - began == pytest.approx(3.0, abs=0.04)


def seen(slots: int, world: World) -> Seen:
    return simulate(slots, world=world, warm_s=30.0, seconds=50.0)


def test_slots_that_never_wait_evaluate_as_often_as_can_be_reckoned() -> None:
    found = seen(3, PLAIN)
    assert found.rate == pytest.approx(0.3, rel=0.15)  # at a multiple of 10 s one may be late
    assert found.busy > 0.97
    assert 0 < found.load < 0.2
    assert found.charged_s == 0
    assert 0 < found.writing_s < found.worked_s
    assert 0 < found.prompting_s < found.worked_s - found.writing_s


def test_a_controller_that_needs_a_second_for_each_evaluation_makes_one_a_second() -> None:
    found = seen(40, World(Latency(10.0), Latency(2.0), call_cpu_s=0.5, slot_cpu_s=0.5))
    assert found.load > 0.97
    assert found.rate == pytest.approx(0.95, abs=0.15)
    assert found.busy == pytest.approx(found.rate * 10 / 40, abs=0.06)
