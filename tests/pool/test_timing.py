"""Clocks that disagree are faults; the share that others had of a slot's CPUs is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.resources import Resources
from evolve.core.values import Value
from evolve.pool import timing
from evolve.pool.timing import ALLOWANCE_S, CpuTimes, TimedSlot, check_clock
from evolve.sandbox.base import Job, Reply, Report, Session
from evolve.sandbox.process import ProcessSandbox

pytestmark = pytest.mark.anyio

JOB = Job(Program({"p.py": "def f(): pass\n"}), "f", Limits())
TICKS = os.sysconf("SC_CLK_TCK")


class PlayedSlot(Session):
    """A slot whose program takes what time it is told, by a clock that may be wrong."""

    def __init__(self, *, takes_s: float = 0.02, says: float = 1.0, cpu_s: float = 0.0) -> None:
        self.takes_s, self.says, self.cpu_s = takes_s, says, cpu_s

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        yield self

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        started = time.monotonic_ns()
        await anyio.sleep(self.takes_s)
        return Reply(Outcome.OK, 1, usage=Usage(int((time.monotonic_ns() - started) * self.says)))

    @property
    def report(self) -> Report:
        return Report(Usage(cpu_ns=int(self.cpu_s * 1e9)), stdout="said")

    async def aclose(self) -> None:
        self.takes_s = -1.0


async def run(slot: TimedSlot, calls: int = 3) -> Report:
    async with slot.session(JOB) as session:
        for _ in range(calls):
            await session.call({})
    return session.report


def test_the_kernels_account_is_read_for_the_cpus_of_the_slot(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  300 30 60 9000 50 3 6 9 0 0\n"
        "cpu0 100 10 20 3000 10 1 2 3 0 0\n"
        "cpu1 100 10 20 3000 10 1 2 3 5 5\n"
        "cpu12 100 10 20 3000 30 1 2 3 0 0\n"
        "intr 1 2 3\n"
    )
    assert CpuTimes.of([1, 12], stat) == CpuTimes(busy=266 / TICKS, stolen=6 / TICKS)
    assert CpuTimes.of([], stat) == CpuTimes(busy=399 / TICKS, stolen=9 / TICKS)


@pytest.mark.parametrize(
    ("inside", "outside"), [(1.0, 1.0), (1.0, 1.002), (0.0, 0.9), (10.0, 11.5), (1.0015, 1.0)]
)
def test_clocks_that_agree_pass(inside: float, outside: float) -> None:
    check_clock(inside, outside)


@pytest.mark.parametrize(("inside", "outside"), [(1.1, 1.0), (0.01, 0.005), (0.0, 1.1), (10, 13)])
def test_clocks_that_disagree_are_faults(inside: float, outside: float) -> None:
    with pytest.raises(InfrastructureError, match="by the clock of its slot"):
        check_clock(inside, outside)


def test_loading_takes_time_that_a_slot_does_not_count() -> None:
    check_clock(0.01, 30.0, loading=True)
    with pytest.raises(InfrastructureError):
        check_clock(1.1, 1.0, loading=True)


async def test_a_slot_with_a_fast_clock_is_found_out() -> None:
    with pytest.raises(InfrastructureError):
        await run(TimedSlot(PlayedSlot(says=100), ()))  # however late a busy machine looks
    report = await run(TimedSlot(PlayedSlot(), ()))
    assert report.stdout == "said"


@pytest.mark.parametrize(
    ("used_s", "stolen_s", "cpu_s", "expected"),
    [
        (0.2, 0.0, 0.2, 0.0),  # its own work alone
        (0.2 + ALLOWANCE_S, 0.0, 0.2, 0.0),  # and the runner's
        (60.0, 0.0, 0.2, 1.0),  # far more than there was
        (0.0, 60.0, 0.0, 1.0),
    ],
)
async def test_what_is_not_the_programs_own_is_the_others(
    monkeypatch: pytest.MonkeyPatch, used_s: float, stolen_s: float, cpu_s: float, expected: float
) -> None:
    accounts = iter([CpuTimes(5, 7), CpuTimes(5 + used_s, 7 + stolen_s)])
    monkeypatch.setattr(CpuTimes, "of", lambda cpus: next(accounts))
    monkeypatch.setattr(timing, "SHORTEST_S", 0.01)
    report = await run(TimedSlot(PlayedSlot(cpu_s=cpu_s), (0,)), calls=1)
    assert report.disturbed == pytest.approx(expected, abs=1e-9)


async def test_without_cpus_of_its_own_only_what_the_host_withholds_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = iter(range(0, 100, 10))
    monkeypatch.setattr(CpuTimes, "of", lambda cpus: CpuTimes(next(busy), 0.0))
    monkeypatch.setattr(timing, "SHORTEST_S", 0.01)
    assert (await run(TimedSlot(PlayedSlot(), ()), calls=1)).disturbed == 0.0


async def test_after_the_first_call_of_several_loading_no_longer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts = [CpuTimes(0.0, 0.0), CpuTimes(9.0, 0.0), CpuTimes(9.0, 0.0), CpuTimes(99.0, 0.0)]
    left = iter(accounts)
    monkeypatch.setattr(CpuTimes, "of", lambda cpus: next(left))
    monkeypatch.setattr(timing, "SHORTEST_S", 0.01)
    monkeypatch.setattr(timing, "LOOK_S", 0.01)
    assert (await run(TimedSlot(PlayedSlot(), (0,)), calls=2)).disturbed == 0.0
    left = iter(accounts)
    assert (await run(TimedSlot(PlayedSlot(), (0,)), calls=3)).disturbed == 1.0


@pytest.mark.parametrize("calls", [0, 3])
async def test_what_took_too_little_to_be_judged_is_not(
    monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(timing, "SHORTEST_S", 20.0)
    assert (await run(TimedSlot(PlayedSlot(), (0,)), calls)).disturbed is None


async def test_a_busy_neighbour_on_the_same_cpu_shows() -> None:
    cpu = max(os.sched_getaffinity(0))
    source = """
import time

def f():
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        pass
    return 1
"""
    pinned = f"import os; os.sched_setaffinity(0, [{cpu}]); print(flush=True)\nwhile True: pass"
    inner = await ProcessSandbox().open_slot(0, Limits(), Resources(cpus=(cpu,)))
    slot = TimedSlot(inner, (cpu,))
    try:
        with subprocess.Popen(  # noqa: ASYNC220 - at once
            [sys.executable, "-c", pinned], stdout=subprocess.PIPE
        ) as neighbour:
            try:
                assert neighbour.stdout is not None
                neighbour.stdout.readline()  # it is at work
                async with slot.session(Job(Program({"p.py": source}), "f", Limits())) as session:
                    assert (await session.call({})).value == 1
            finally:
                neighbour.kill()
        report = session.report
    finally:
        await slot.aclose()
    assert report.disturbed is not None
    assert report.disturbed > 0.15, report
    assert report.usage.cpu_ns < 0.55e9
