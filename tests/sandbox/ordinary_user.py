"""Run programs in a `process` sandbox as an ordinary user; started as root, by a test.

    python -m tests.sandbox.ordinary_user [refused]

Prints one line of JSON: what the sandbox says of itself, and how each program ended. With
``refused`` the kernel grants no namespaces.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job
from evolve.sandbox.inside import kernel, seccomp
from evolve.sandbox.process import ProcessSandbox

UID = 54_321
LIMITS = Limits(wall_s=30.0, memory_mb=512, processes=20, disk_mb=16)  # for 20 processes
PROGRAMS = {
    "plain": "def solve(): return 1",
    "user": "import os\ndef solve(): return [os.getuid(), os.geteuid()]",
    "files": "import os\ndef solve(): return os.path.exists('/etc/passwd')",
    "processes": "import os\ndef solve(): return sum(map(str.isdigit, os.listdir('/proc')))",
    "network": """
import socket
def solve():
    try: socket.socket(socket.AF_INET)
    except OSError: return "refused"
""",
    "memory": "def solve(): return len(b'x' * (700 << 20))",
    "forks": "import os\ndef solve():\n    while True: os.fork()",
    "kills its runner": "import os, time\ndef solve(): os.kill(os.getppid(), 9); time.sleep(9)",
    "spins": "def solve():\n    while True: pass",
    "daemon": """
import os, time
def solve():
    if os.fork() == 0:
        os.setsid()
        time.sleep(99)
    return 5
""",
    "afterwards": "def solve(): return 2",
}


def open_the_way(*paths: Path) -> None:
    """Let everybody reach ``paths``, in a mount namespace of this process's own.

    Root's Python often lies in a home that only root may enter.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    aside = {path: tempfile.mkdtemp() for path in paths if closed(path)}
    for path, place in aside.items():
        kernel.mount(str(path), place, "", kernel.MS_BIND | kernel.MS_REC)
    for folder in {closed(path)[-1] for path in aside}:
        kernel.mount("tmpfs", str(folder), "tmpfs", 0, "mode=755")
    for path, place in aside.items():
        path.mkdir(parents=True, exist_ok=True)
        kernel.mount(place, str(path), "", kernel.MS_BIND | kernel.MS_REC)


def closed(path: Path) -> list[Path]:
    """Return the folders above ``path`` that not everybody may enter, the nearest first."""
    return [each for each in path.parents if not each.stat().st_mode & stat.S_IXOTH]


def become_ordinary(*, refused: bool) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    if refused:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install()  # refuses unshare, as a kernel without user namespaces does


async def main() -> None:
    """Run all programs in one slot."""
    sandbox = ProcessSandbox()
    slot = await sandbox.open_slot(0, LIMITS)
    found: dict[str, object] = {}
    try:
        for name, source in PROGRAMS.items():
            limits = replace(LIMITS, wall_s=1.0) if name == "spins" else LIMITS
            job = Job(Program({"p.py": source}), "solve", limits)
            async with slot.session(job) as session:
                reply = await session.call({})
            found[name] = reply.value if reply.outcome == "ok" else reply.outcome
    finally:
        await slot.aclose()
    await anyio.to_thread.run_sync(settle)
    result = {
        "obtained": sandbox.provenance()["isolation"].split(),
        "guarantees": sandbox.guarantees(),
        "found": found,
        "left": left_over(),
    }
    print(json.dumps(result))


def settle() -> None:
    """Give what was killed a moment to be gone."""
    for _ in range(600):
        if not left_over():
            return
        time.sleep(0.05)


def left_over() -> list[str]:
    """Return what other processes of this user run, the watchdog of this one left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if path.stat().st_uid == UID and path.parent.name != str(os.getpid()):
                command = path.read_bytes().decode().replace("\0", " ")
                found += [] if "evolve.sandbox.watchdog" in command else [command]
    return found


if __name__ == "__main__":
    open_the_way(*map(Path, {sys.base_prefix, sys.prefix, str(Path(__file__).parents[2])}))
    become_ordinary(refused="refused" in sys.argv[1:])
    os.chdir("/")
    anyio.run(main)
