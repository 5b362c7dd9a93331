"""Whether times can be trusted: a slot's clock against ours, and who else used its CPUs.

What disturbs a program makes it slower, never faster. So a time is not wrong because others used
the machine, but it says less about the program, and the share they had is worth knowing.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evolve.core.errors import InfrastructureError
from evolve.core.values import Value
from evolve.sandbox.base import Job, Reply, Report, Session, Slot

_STAT = Path("/proc/stat")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: CPU seconds of an evaluation that are nobody's fault: the runner's own work, and ticks of 10 ms.
ALLOWANCE_S = 0.03
#: Evaluations that take less are not judged: the kernel counts in ticks of 10 ms.
SHORTEST_S = 0.5
#: How much longer than ours a slot's clock may say that a call took: in seconds, and as a share.
AHEAD_S, AHEAD = 0.002, 0.005
#: How much longer than a slot says a call may take to come back: likewise.
LATE_S, LATE = 1.0, 0.1


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """What some CPUs have done since the machine was started, in seconds, added up.

    Attributes:
        busy: At work, for whomever.
        stolen: Withheld by the host of this virtual machine.
    """

    busy: float
    stolen: float

    @classmethod
    def of(cls, cpus: Sequence[int], stat: Path = _STAT) -> CpuTimes:
        """Read the kernel's account; ``cpus`` empty means all of them."""
        wanted = {f"cpu{number}" for number in cpus} or {"cpu"}
        busy = stolen = 0
        for line in stat.read_text().splitlines():
            name, *numbers = line.split()
            if name in wanted:
                user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, numbers[:8])
                busy += user + nice + system + irq + softirq
                stolen += steal
        return cls(busy / _TICKS_PER_S, stolen / _TICKS_PER_S)


class TimedSlot:
    """A `evolve.sandbox.base.Slot` for programs that are timed.

    Args:
        slot: Where they run.
        cpus: Its CPUs; empty when it has none of its own, and then only what the host withholds
            can be told from what the program used.
    """

    def __init__(self, slot: Slot, cpus: Sequence[int]) -> None:
        self._slot, self._cpus = slot, cpus

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """Load ``job``; its report will say how much it was disturbed."""
        return self._session(job)

    @asynccontextmanager
    async def _session(self, job: Job) -> AsyncIterator[Session]:
        async with self._slot.session(job) as session:
            timed = _TimedSession(session, self._cpus)
            yield timed
        timed.conclude()

    async def aclose(self) -> None:
        """Release the slot."""
        await self._slot.aclose()


class _TimedSession(Session):
    """Checks every call's time, and keeps the CPUs' accounts from the first to the last."""

    def __init__(self, session: Session, cpus: Sequence[int]) -> None:
        self._session, self._cpus = session, cpus
        self._calls = 0
        self._began = self._ended = (0.0, CpuTimes(0.0, 0.0))
        self._disturbed: float | None = None

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        return await self._timed(partial(self._session.call, inputs, function=function))

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        return await self._timed(partial(self._session.forward, inputs, function=function))

    async def _timed(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        if not self._calls:
            self._began = (time.monotonic(), CpuTimes.of(self._cpus))
        started = time.monotonic_ns()
        reply = await ask()
        elapsed = (time.monotonic_ns() - started) / 1e9
        # The first call waits for the program to load, which is no part of its time.
        check_clock(reply.usage.wall_ns / 1e9, elapsed, loading=not self._calls)
        self._calls += 1
        self._ended = (time.monotonic(), CpuTimes.of(self._cpus))
        return reply

    def conclude(self) -> None:
        """Work out how much the program was disturbed, now that its own share is known."""
        (began, before), (ended, after) = self._began, self._ended
        if ended - began < SHORTEST_S:
            return
        others = after.stolen - before.stolen
        if self._cpus:
            own = self._session.report.usage.cpu_ns / 1e9 + ALLOWANCE_S
            others += max(after.busy - before.busy - own, 0.0)
        count = len(self._cpus) or os.cpu_count() or 1
        self._disturbed = min(others / (count * (ended - began)), 1.0)

    @property
    def report(self) -> Report:
        return replace(self._session.report, disturbed=self._disturbed)


def check_clock(inside_s: float, outside_s: float, *, loading: bool = False) -> None:
    """Compare the seconds a call took by the slot's clock with those that passed here.

    Args:
        inside_s: By the slot's clock.
        outside_s: By ours, from asking to the answer.
        loading: Whether the program was loaded meanwhile, which the slot does not count.

    Raises:
        InfrastructureError: they cannot both be right.
    """
    ahead = inside_s > outside_s * (1 + AHEAD) + AHEAD_S
    late = not loading and outside_s > inside_s * (1 + LATE) + LATE_S
    if ahead or late:
        raise InfrastructureError(
            f"a timed call took {inside_s:.4f} s by the clock of its slot and {outside_s:.4f} s "
            "here: the clock is wrong, or this machine too busy to measure"
        )
