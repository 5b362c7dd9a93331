"""What the controller tells a runner: once at its start, and with every program."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How a runner is set up.

    Attributes:
        socket: Path of the controller's listening socket.
        work: Folder in which each session gets a folder of its own.
        shared: Further folders a program can write to; wiped after each session.
        uids: First of the user ids used one after the other, and how many; ``(0, 0)`` to keep
            the runner's own.
        cgroup: Whether the runner has a cgroup to itself, whose counters it may trust.
        readable: Folders a program needs to read; not empty: see nothing else (`namespaces`).
        disk_mb: Size of the writable folders in mebibytes, where the runner makes them.
        cpus: CPUs to keep to; empty: any, or what a container is kept to from outside.
        gpus: Whether programs have devices; the greeting then says which CUDA offers.
        devices: Device files to bring along, where the runner makes the file system.
    """

    socket: str
    work: str
    shared: tuple[str, ...] = ()
    uids: tuple[int, int] = (0, 0)
    cgroup: bool = False
    readable: tuple[str, ...] = ()
    disk_mb: int = 256
    cpus: tuple[int, ...] = ()
    gpus: bool = False
    devices: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the options as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunnerOptions:
        """Undo `to_json`."""
        fields = json.loads(text)
        for name in ("shared", "uids", "readable", "cpus", "devices"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may use, in the units the kernel wants.

    Attributes:
        wall_ns: Nanoseconds of being loaded and of answering calls, together.
        cpu_ns: CPU nanoseconds of everything the program starts.
        memory_bytes: Resident memory of the program's processes together; enforced here only
            where no cgroup does it.
        processes: Processes and threads at once; likewise.
        disk_bytes: Largest file.
        stdout_bytes: Kept of stdout and of stderr.
        result_bytes: Returned data of all calls together.
    """

    wall_ns: int
    cpu_ns: int
    memory_bytes: int
    processes: int
    disk_bytes: int
    stdout_bytes: int
    result_bytes: int

    @property
    def flood_bytes(self) -> int:
        """Printing more than this on one stream ends the session."""
        return 256 * self.stdout_bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """The body of a `wire.Kind.OPEN` frame.

    Attributes:
        limits: What the session may use.
        program: JSON text for the child: ``files``, ``entry``, ``function``, ``harness``,
            ``command``, ``result_bytes``.
    """

    limits: SessionLimits
    program: str

    def to_bytes(self) -> bytes:
        """Return the opening as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Opening:
        """Undo `to_bytes`."""
        fields = json.loads(body)
        return cls(SessionLimits(**fields["limits"]), fields["program"])
