"""Find, kill and collect everything a program started; the kernel's facts about processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
            return [pid for pid, _, uid in _living() if uid == self._uid]
        children: dict[int, list[int]] = {}
        for pid, parent, _ in _living():
            children.setdefault(parent, []).append(pid)
        found, todo = [], [self._supervisor]
        while todo:
            below = children.get(todo.pop(), [])
            todo += below
            found += [pid for pid in below if pid != self._template]
        return found

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
        for attempt in range(_ATTEMPTS):
            self.collect_orphans()
            if not self.members():
                return True
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


def _living() -> Iterator[tuple[int, int, int]]:
    """Yield process id, parent and effective user id of every process that is no zombie."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - called often, and half the cost of a Path
        if not name.isdigit():
            continue
        try:
            status = Path(f"/proc/{name}/status").read_bytes()
        except OSError:
            continue
        if b"\nState:\tZ" in status or b"\nState:\tX" in status:
            continue
        yield int(name), _field(status, b"\nPPid:\t", 0), _field(status, b"\nUid:\t", 0)


def _field(status: bytes, name: bytes, column: int) -> int:
    start = status.index(name) + len(name)
    return int(status[start : status.index(b"\n", start)].split()[column])


def peak_bytes(pid: int) -> int:
    """Return the largest resident size of a living process so far; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
        return _field(status, b"\nVmHWM:\t", 0) * 1024
    except (OSError, ValueError):
        return 0


def resident_bytes(pid: int) -> int:
    """Return the resident size of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """Return the resident size of a process with shared pages divided among their users."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        return _field(rollup, b"\nPss:", 0) * 1024
    except (OSError, ValueError):
        return resident_bytes(pid)


def used_ticks(pid: int) -> int:
    """Return the clock ticks a process and the children it waited for have used."""
    return sum(_tick_fields(pid))


def reaped_ticks(pid: int) -> int:
    """Return the clock ticks of the children a process waited for."""
    return sum(_tick_fields(pid)[2:])


def _tick_fields(pid: int) -> list[int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    return [int(field) for field in stat[stat.rindex(b")") + 2 :].split()[11:15]]


def threads_of(uid: int) -> int:
    """Count the threads of all processes of a user."""
    count = 0
    for pid, _, owner in _living():
        if owner == uid:
            with suppress(OSError):
                count += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - as above
    return count
