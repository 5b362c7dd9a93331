"""Who holds a run: processes named so that another one on the same machine can tell if they died.

A process id alone is reused, and means nothing in another container. So a process is named by the
boot of its machine, its pid namespace, its pid and the moment it started (proc_pid_stat(5)).
Where there is no ``/proc`` nobody is ever certainly dead, and a claim has to expire.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Return the name of this process, for `is_dead` to look at later."""
    pid = os.getpid()
    _, started = _state(pid) or ("", "?")
    return f"{_place()} {pid} {started}"


def is_dead(process: str) -> bool:
    """Return whether ``process`` has certainly ended: False when it cannot be seen from here."""
    place, pid, started = process.rsplit(" ", 2)
    if started == "?" or place != _place():
        return False
    state = _state(int(pid))
    if state is None:
        return not _exists(int(pid))
    return state[0] in "ZX" or state[1] != started


def _place() -> str:
    """Name the space in which a pid means one process."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        boot = namespace = "?"
    return f"{platform.node()} {boot} {namespace}"


def _state(pid: int) -> tuple[str, str] | None:
    """Return the state letter and the start time in clock ticks since boot, if it can be read."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field, the command's name, may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(pid: int) -> bool:
    """Ask the kernel, which also knows processes that ``/proc`` hides from other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
