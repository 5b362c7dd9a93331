"""Remove what killed controllers left on this machine: containers and private folders.

Everything a controller makes carries its identity. A runner ends by itself when its controller
does, so what is found here is mostly empty shells. A reaper runs whenever a sandbox opens a slot,
and once more when a controller has ended (`evolve.sandbox.watchdog`).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.sandbox.inside.wipe import wipe

if TYPE_CHECKING:
    import docker

LABEL = "evolve.controller"
_FOLDER = re.compile(r"evolve-(\d+)-(\d+)-\d+-[^-]+")


@dataclass(frozen=True, slots=True)
class Controller:
    """A process that owns slots, identified so that it cannot be mistaken for a later one.

    Attributes:
        host: Name of its machine.
        pid: Process id there.
        started: Start of that process in clock ticks since boot.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> Controller:
        """Return the identity of the current process."""
        return cls(socket.gethostname(), os.getpid(), _start_time(os.getpid()))

    @classmethod
    def parse(cls, label: str) -> Controller | None:
        """Undo `str`; None for anything else."""
        try:
            host, pid, started = label.rsplit(":", 2)
            return cls(host, int(pid), int(started))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started}"

    @property
    def folder_prefix(self) -> str:
        """The start of the names of its private folders."""
        return f"evolve-{self.pid}-{self.started}-"

    @property
    def dead(self) -> bool:
        """Whether it is known to have ended; never so for one on another machine."""
        return self.host == socket.gethostname() and _start_time(self.pid) != self.started


def _start_time(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 when there is no such process.

    One that has ended, and that its parent has not waited for yet, is none.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    state, *fields = stat[stat.rindex(b")") + 2 :].split()
    return 0 if state in (b"Z", b"X") else int(fields[18])


def kill_runners(controller: Controller) -> None:
    """Kill what still runs from the private folders of a controller, frozen or not."""
    mark = f"/{controller.folder_prefix}".encode()
    for name in os.listdir("/proc"):  # noqa: PTH208 - quicker
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with suppress(OSError):  # it has ended meanwhile, or is not ours
            if mark in Path(f"/proc/{name}/cmdline").read_bytes():
                os.kill(int(name), signal.SIGKILL)


def reap_folders(*, remove: bool = True) -> bool:
    """Remove the private folders of dead controllers of this user; return whether there were any.

    Args:
        remove: False only looks.
    """
    found = False
    for entry in os.scandir(os.path.realpath(tempfile.gettempdir())):
        name = _FOLDER.fullmatch(entry.name)
        if name is None or not entry.is_dir(follow_symlinks=False):
            continue
        owner = Controller(socket.gethostname(), int(name[1]), int(name[2]))
        with suppress(FileNotFoundError):  # its runner ends, or another controller reaps, just now
            if owner.dead and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                found = True
                if remove:
                    remove_folder(Path(entry.path))
    return found


def remove_folder(path: Path) -> None:
    """Remove a folder with whatever programs may have left in it."""
    wipe(str(path))
    with suppress(OSError):
        path.rmdir()


def reap_containers(client: docker.DockerClient) -> None:
    """Remove the containers of dead controllers."""
    from docker.errors import APIError

    for container in client.containers.list(
        all=True, filters={"label": LABEL}, ignore_removed=True
    ):
        owner = Controller.parse(container.labels.get(LABEL, ""))
        if owner is not None and owner.dead:
            with suppress(APIError):  # another controller is removing it at this moment
                container.remove(force=True, v=True)
