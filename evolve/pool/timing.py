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
#: Seconds between two looks at the CPUs' accounts.
LOOK_S = 0.05
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


@dataclass(frozen=True, slots=True)
class _Mark:
    """A moment of a session: when, what its CPUs have done, and the program's own share of it."""

    at: float
    cpus: CpuTimes
    own_s: float


class _TimedSession(Session):
    """Checks every call's time, and keeps the CPUs' accounts.

    The first call loads libraries and the program, on account of the runner: if there are more, the
    account begins after it.
    """

    def __init__(self, session: Session, cpus: Sequence[int]) -> None:
        self._session, self._cpus = session, cpus
        self._own_s = 0.0
        self._marks: list[_Mark] = []  #: before and after the first call, and the latest
        self._disturbed: float | None = None

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        return await self._timed(partial(self._session.call, inputs, function=function))

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        return await self._timed(partial(self._session.forward, inputs, function=function))

    async def _timed(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        loading = not self._marks
        if loading:
            self._mark()
        started = time.monotonic_ns()
        reply = await ask()
        elapsed = (time.monotonic_ns() - started) / 1e9
        check_clock(reply.usage.wall_ns / 1e9, elapsed, loading=loading)
        self._own_s += reply.usage.cpu_ns / 1e9
        if loading or time.monotonic() - self._marks[-1].at > LOOK_S:
            self._mark()
        return reply

    def _mark(self) -> None:
        del self._marks[2:]
        self._marks.append(_Mark(time.monotonic(), CpuTimes.of(self._cpus), self._own_s))

    def conclude(self) -> None:
        """Work out how much the program was disturbed, now that all it used is known."""
        if len(self._marks) < 2:
            return
        began, ended = self._marks[-2:]
        alone = len(self._marks) == 2  # a single call: what it used to load is its own as well
        own_s = self._session.report.usage.cpu_ns / 1e9 if alone else ended.own_s - began.own_s
        seconds = ended.at - began.at
        if seconds < SHORTEST_S:
            return
        others = ended.cpus.stolen - began.cpus.stolen
        if self._cpus:
            others += max(ended.cpus.busy - began.cpus.busy - own_s - ALLOWANCE_S, 0.0)
        self._disturbed = min(others / ((len(self._cpus) or os.cpu_count() or 1) * seconds), 1.0)

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
