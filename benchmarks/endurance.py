"""Run thousands of programs through one slot and see that nothing grows.

    python benchmarks/endurance.py [--sandbox docker] [--programs 10000] [--every 1000]

Every program is honest but untidy: it leaves files, shared memory, a child and an open file behind;
every tenth fails. Printed are, now and then: memory of the controller and of the slot, descriptors
of the controller, processes and files of the slot, containers and private folders on this machine,
and distinct user ids so far. The verdict compares the first line, taken after a warm-up, with the
last.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job, Sandbox
from evolve.sandbox.docker import DockerHost, DockerSandbox
from evolve.sandbox.process import ProcessHost, ProcessSandbox
from evolve.sandbox.reaper import LABEL, Controller
from evolve.sandbox.slot import RunnerSlot

LIMITS = Limits(wall_s=20.0, memory_mb=256, processes=16, disk_mb=16)
WARM_UP = 100
UNTIDY = """
import os, time
def solve(number):
    for place in (".", "/dev/shm"):
        os.makedirs(place + "/left/behind", exist_ok=True)
        with open(place + "/left/behind/file", "w") as file:
            file.write("x" * 1000)
    held = open("held", "w")
    if os.fork() == 0:
        time.sleep(60)
    if number % 10 == 9:
        raise ValueError(number)
    return [os.getuid(), number]
"""
SANDBOXES: dict[str, Callable[[], Sandbox]] = {"docker": DockerSandbox, "process": ProcessSandbox}


@dataclass(frozen=True)
class Reading:
    """What there was after so many programs. Memory in MiB, resident."""

    programs: int
    seconds: float
    controller_mb: float
    slot_mb: float
    descriptors: int
    processes: int
    containers: int
    folders: int
    files: int
    uids: int

    def has_grown_since(self, earlier: Reading, *, own_users: bool) -> list[str]:
        """Return what is not flat; memory may wander by a few MiB."""
        grown = [
            name
            for name in ("descriptors", "processes", "containers", "folders", "files")
            if getattr(self, name) > getattr(earlier, name)
        ]
        grown += ["controller_mb"] if self.controller_mb > earlier.controller_mb + 16 else []
        grown += ["slot_mb"] if self.slot_mb > earlier.slot_mb + 8 else []
        # Nine of ten programs told their user's id.
        expected = self.programs - self.programs // 10 if own_users else 1
        return grown + ([] if self.uids == expected else ["uids"])


class Endurance:
    """One slot, and what it has come to.

    Args:
        slot: Opened for `LIMITS`.
    """

    def __init__(self, slot: RunnerSlot) -> None:
        self._slot, self._uids = slot, set[int]()
        self._programs, self._began = 0, time.monotonic()

    async def run(self, programs: int) -> None:
        """Run so many programs one after the other."""
        job = Job(Program({"program.py": UNTIDY}), "solve", LIMITS)
        for _ in range(programs):
            async with self._slot.session(job) as session:
                reply = await session.call({"number": self._programs})
            if self._programs % 10 != 9:
                value: Any = reply.value
                assert value[1] == self._programs, reply
                self._uids.add(value[0])
            self._programs += 1

    async def read(self) -> Reading:
        """Look at everything."""
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Reading:
        tree = list(_tree(self._runner()))
        folders = list(_folders())
        return Reading(
            programs=self._programs,
            seconds=round(time.monotonic() - self._began, 1),
            controller_mb=_resident_mb(os.getpid()),
            slot_mb=round(sum(map(_resident_mb, tree)), 1),
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            processes=len(tree),
            containers=self._containers(),
            folders=len(folders),
            files=sum(1 for folder in folders for _ in folder.rglob("*")),
            uids=len(self._uids),
        )

    def _runner(self) -> int:
        """Return the process id, on this machine, of what the slot's processes descend from."""
        host = self._slot._host
        if isinstance(host, DockerHost):
            assert host._container is not None
            host._engine.ask_now(host._container.reload)
            return int(host._container.attrs["State"]["Pid"])
        assert isinstance(host, ProcessHost)
        assert host._process is not None
        return host._process.pid

    def _containers(self) -> int:
        host = self._slot._host
        if not isinstance(host, DockerHost):
            return 0
        mine = f"{LABEL}={Controller.this()}"
        containers = host._engine.client.containers
        listed = host._engine.ask_now(lambda: containers.list(all=True, filters={"label": mine}))
        return len(listed)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _tree(int(child))


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)


def _folders() -> Iterator[Path]:
    yield from Path(tempfile.gettempdir()).glob(f"{Controller.this().folder_prefix}*")


async def endure(kind: str, programs: int, every: int, *, quiet: bool = False) -> list[str]:
    """Run ``programs`` through one slot of a sandbox; return what was not flat."""
    sandbox = SANDBOXES[kind]()
    slot = await sandbox.open_slot(0, LIMITS)
    assert isinstance(slot, RunnerSlot)
    try:
        endurance = Endurance(slot)
        await endurance.run(WARM_UP)
        readings = [await endurance.read()]
        while readings[-1].programs < programs:
            await endurance.run(min(every, programs - readings[-1].programs))
            readings.append(await endurance.read())
    finally:
        await slot.aclose()
    own_users = kind == "docker" or "users" in sandbox.provenance()["isolation"]
    grown = readings[-1].has_grown_since(readings[0], own_users=own_users)
    if not quiet:
        rows = [asdict(reading) for reading in readings]
        print("| " + " | ".join(rows[0]) + " |\n|" + "---:|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(map(str, row.values())) + " |")
        print(f"\n{kind}: {'flat' if not grown else 'NOT flat: ' + ', '.join(grown)}")
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", choices=list(SANDBOXES), nargs="*", default=list(SANDBOXES))
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1000)
    options = parser.parse_args()
    results = [anyio.run(endure, kind, options.programs, options.every) for kind in options.sandbox]
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
