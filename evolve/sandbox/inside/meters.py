"""What a program uses, measured by the supervisor from outside the program."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol, TypeAlias

from evolve.sandbox.inside import processes
from evolve.sandbox.inside.template import Fork

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_LOOK_NS = 50_000_000  #: how often processes are counted while a program runs
_CGROUP = Path("/sys/fs/cgroup")
#: Where CPU time, memory kills, refused forks and the two kinds of held memory are told: file, key
#: of its line, and its unit in ours. First version 2, then where version 1 is mounted.
_UNIFIED = (
    (("cpu.stat", "usage_usec", 1000),),
    (("memory.events", "oom_kill", 1),),
    (("pids.events", "max", 1),),
    (("memory.stat", "anon", 1),),
    (("memory.stat", "shmem", 1),),
)
_VERSION_1 = (
    (("cpuacct/cpuacct.usage", "", 1), ("cpu,cpuacct/cpuacct.usage", "", 1)),
    (("memory/memory.oom_control", "oom_kill", 1),),
    (("pids/pids.events", "max", 1),),
    (("memory/memory.stat", "total_rss", 1),),
    (("memory/memory.stat", "total_shmem", 1),),
)
_Places: TypeAlias = tuple[tuple[str, str, int], ...]


class Meter(Protocol):
    """The counters of one session after the other."""

    def start(self, tree: processes.Tree, fork: Fork) -> None:
        """Begin a session: all counters are 0 now."""
        ...

    def cpu_ns(self) -> int:
        """Return CPU nanoseconds of the program and everything it started."""
        ...

    def memory_bytes(self) -> int | None:
        """Return what processes, and files in memory, have come to hold; None when not counted."""
        ...

    def memory_kills(self) -> bool:
        """Return whether the kernel has killed for want of memory."""
        ...

    def forks_refused(self) -> bool | None:
        """Return whether the kernel has refused a fork because of the limit; None: unknown."""
        ...

    def finish(self, fork: Fork, orphans_ns: int) -> None:
        """Note the kernel's last word, when every process has been waited for."""
        ...


def meter(*, cgroup: bool, root: Path = _CGROUP) -> Meter:
    """Return a meter: of the cgroup that ``root`` shows, or of a tree of processes."""
    return _CgroupMeter(root) if cgroup else _TreeMeter()


def has_cgroup(root: Path = _CGROUP) -> bool:
    """Return whether a cgroup's counters are all there, and so its limits in force.

    gVisor shows none; an engine of an ordinary user may have been given some controllers only.
    """
    return all(any((root / name).exists() for name, _, _ in one) for one in _counters(root))


def _counters(root: Path) -> tuple[_Places, ...]:
    """Return where each counter may be found."""
    return _UNIFIED if (root / "cgroup.controllers").exists() else _VERSION_1


class _CgroupMeter:
    """Reads the counters of the container's own cgroup, version 1 or 2.

    They cover every process, living, dead or orphaned. The supervisor's own share is taken off.
    """

    def __init__(self, root: Path) -> None:
        counters = [_Counter(root, one) for one in _counters(root)]
        self._cpu, self._oom, self._pids, *self._held = counters
        self._own = 0

    def start(self, tree: processes.Tree, fork: Fork) -> None:  # noqa: ARG002 - the cgroup has all
        self._own = time.process_time_ns()
        for counter in (self._cpu, self._oom, self._pids, *self._held):
            counter.reset()

    def cpu_ns(self) -> int:
        own = time.process_time_ns() - self._own
        return max(self._cpu.delta() - own, 0)

    def memory_bytes(self) -> int:
        return max(sum(counter.delta() for counter in self._held), 0)

    def memory_kills(self) -> bool:
        return self._oom.delta() > 0

    def forks_refused(self) -> bool:
        return self._pids.delta() > 0

    def finish(self, fork: Fork, orphans_ns: int) -> None:
        pass


class _Counter:
    """A number in a file of the cgroup, kept open; 0 for ever where there is no such file."""

    def __init__(self, root: Path, places: _Places) -> None:
        self._descriptor, self._key, self._unit = -1, b"", 1
        for name, key, unit in places:
            if (root / name).exists():
                self._descriptor = os.open(root / name, os.O_RDONLY | os.O_CLOEXEC)
                self._key, self._unit = key.encode(), unit
                break
        self._start = 0

    def reset(self) -> None:
        self._start = self._read()

    def delta(self) -> int:
        return self._read() - self._start

    def _read(self) -> int:
        if self._descriptor < 0:
            return 0
        text = os.pread(self._descriptor, 4096, 0)
        if not self._key:
            return int(text) * self._unit
        for line in text.splitlines():
            key, _, number = line.partition(b" ")
            if key == self._key:
                return int(number) * self._unit
        return 0


class _TreeMeter:
    """Adds up the processes of one program, where there is no cgroup to ask.

    While the program runs: the exact CPU clock of its first process, the clock ticks (10 ms) of
    those it has waited for, and now and then those of the others. At its end: the kernel's account
    of every process waited for.
    """

    def start(self, tree: processes.Tree, fork: Fork) -> None:
        self._tree, self._fork = tree, fork
        self._clock = (~fork.pid << 3) | 2  # the CPU clock of a process, as in clock_getcpuclockid
        self._total = self._others = 0
        self._looked = self._counted = time.monotonic_ns()

    def cpu_ns(self) -> int:
        try:
            first = time.clock_gettime_ns(self._clock)
        except OSError:
            return self._total
        now = time.monotonic_ns()
        if now - self._looked > _LOOK_NS:
            self._look_at_others()
        elif now - self._counted > _TICK_NS:  # what ended since the last look, at a small price
            self._counted = now
            reaped = processes.reaped_ticks(self._fork.pid)
            self._others = max(self._others, reaped * _TICK_NS)
        self._total = max(self._total, first + self._others)
        return self._total

    def memory_bytes(self) -> int | None:
        return None

    def memory_kills(self) -> bool:
        return False

    def forks_refused(self) -> bool | None:
        return None

    def finish(self, fork: Fork, orphans_ns: int) -> None:
        self._total = max(self._total, fork.cpu_ns + orphans_ns)

    def _look_at_others(self) -> None:
        self._looked = self._counted = time.monotonic_ns()
        others = [pid for pid in self._tree.members() if pid != self._fork.pid]
        ticks = processes.reaped_ticks(self._fork.pid) + sum(map(processes.used_ticks, others))
        self._others = ticks * _TICK_NS
