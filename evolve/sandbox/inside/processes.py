"""Find, kill and collect everything a program started; the kernel's facts about processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_ATTEMPTS = 200
_PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Have the effective ids of ``uid`` for a while; 0 changes nothing.

    The supervisor's saved user id stays root, its real one is nobody's: a program can neither
    signal nor trace it, and what it does meanwhile cannot hit the template, which is root's.
    """
    if uid:
        os.setegid(uid)
        os.seteuid(uid)
    try:
        yield
    finally:
        if uid:
            os.seteuid(0)
            os.setegid(0)


class Held(NamedTuple):
    """What a program has: resident bytes, and processes and threads."""

    memory_bytes: int
    threads: int


class Tree:
    """All processes of one program.

    Args:
        supervisor: Process id of the supervisor.
        template: Process id of the template, which is spared.
        uid: The program's own user id, or 0 when it has none: then the tree is what descends
            from the supervisor, who adopts orphans.
    """

    def __init__(self, supervisor: int, template: int, uid: int) -> None:
        self._supervisor, self._template, self._uid = supervisor, template, uid
        self.orphans_ns = 0  #: CPU time of the orphans collected so far

    def members(self) -> list[int]:
        """Return the living processes, zombies left out."""
        if self._uid:
            return [pid for pid in _all() if _owner(pid) == self._uid]
        found, todo = [], _children(self._supervisor)
        while todo:
            pid = todo.pop()
            todo += _children(pid)
            if pid != self._template and _alive(pid):
                found.append(pid)
        return found

    def held(self, memory_limit: int) -> Held:
        """Return what the program has at this moment.

        Pages that forks share are counted once, unless all are below ``memory_limit`` anyway.
        """
        members = self.members()
        memory = sum(map(_resident_bytes, members))
        if memory > memory_limit and len(members) > 1:
            with acting_as(self._uid):  # only its owner may look so closely at a process
                memory = sum(map(_proportional_bytes, members))
        return Held(memory, sum(map(_threads, members)))

    def kill(self) -> None:
        """Send SIGKILL to all members.

        With a uid of its own that is one system call, which no fork can outrun.
        """
        if self._uid:
            with acting_as(self._uid), suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return
        for pid in self.members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> bool:
        """Kill until nothing is left; return whether that was reached."""
        empty = 0
        for attempt in range(_ATTEMPTS):
            self.collect_orphans()
            # Twice: an orphan changing hands can be missed, but then the supervisor has it.
            empty = empty + 1 if not self.members() else 0
            if empty == 2:
                return True
            if not empty:
                self.kill()
                time.sleep(0.0005 * min(attempt + 1, 20))
        return False

    def collect_orphans(self) -> None:
        """Wait for orphans that have ended.

        Raises:
            EOFError: the template itself has ended.
        """
        while True:
            try:
                pid, _, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._template:
                raise EOFError("the template is gone")
            self.orphans_ns += int((used.ru_utime + used.ru_stime) * 1e9)


def can_descend() -> bool:
    """Return whether this kernel lists a process's children."""
    return Path("/proc/thread-self/children").exists()


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - quicker


def _owner(pid: int) -> int:
    """Return the effective user id of a process; -1 for one that is gone or a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return -1
    dead = b"\nState:\tZ" in status or b"\nState:\tX" in status
    if dead and _field(status, b"\nThreads:\t", 0) <= 1:
        return -1
    return _field(status, b"\nUid:\t", 1)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - quicker
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{task}/children").read_bytes()
                found += map(int, children.split())
    return found


def _field(status: bytes, name: bytes, column: int) -> int:
    start = status.index(name) + len(name)
    return int(status[start : status.index(b"\n", start)].split()[column])


def _stat(pid: int) -> list[bytes]:
    """Return the fields of a process's ``stat`` from its state on; empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    return stat[stat.rindex(b")") + 2 :].split()


def _alive(pid: int) -> bool:
    """Return whether any thread of a process lives; the first may have ended before the others."""
    fields = _stat(pid)
    return bool(fields) and (fields[0] not in (b"Z", b"X") or int(fields[17]) > 1)


def peak_bytes(pid: int) -> int:
    """Return the largest resident size of a living process so far; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
        return _field(status, b"\nVmHWM:\t", 0) * 1024
    except (OSError, ValueError):
        return 0


def _resident_bytes(pid: int) -> int:
    """Return the resident size of a process; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        if not pages:  # its first thread has ended: ask the last one
            thread = max(map(int, os.listdir(f"/proc/{pid}/task")))  # noqa: PTH208 - quicker
            pages = int(Path(f"/proc/{pid}/task/{thread}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * _PAGE


def _proportional_bytes(pid: int) -> int:
    """Return the resident size of a process with shared pages divided among their users."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        return _field(rollup, b"\nPss:", 0) * 1024
    except (OSError, ValueError):
        return _resident_bytes(pid)


def used_ticks(pid: int) -> int:
    """Return the clock ticks a process and the children it waited for have used."""
    return sum(map(int, _stat(pid)[11:15]))


def reaped_ticks(pid: int) -> int:
    """Return the clock ticks of the children a process waited for."""
    return sum(map(int, _stat(pid)[13:15]))


def _threads(pid: int) -> int:
    """Return how many threads a process has."""
    return sum(map(int, _stat(pid)[17:18]))


def user_threads(uid: int) -> int:
    """Return how many threads a user has, on all of this machine that can be seen."""
    return sum(_threads(pid) for pid in _all() if _owner(pid) == uid)
