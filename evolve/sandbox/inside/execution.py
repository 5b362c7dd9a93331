"""The process, the pipes and the files of one program: made, drained, killed, wiped."""

from __future__ import annotations

import fcntl
import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass

from evolve.sandbox.inside import processes
from evolve.sandbox.inside.confine import Confinement
from evolve.sandbox.inside.options import SessionLimits
from evolve.sandbox.inside.template import Template
from evolve.sandbox.inside.wipe import wipe, wipe_sysv

CHUNK = 1 << 16  #: bytes read at once; larger buffers cost a memory map each
_PIPE_BYTES = 1 << 20
_SPARE_PROCESSES = 512  #: how many more others of the same user may come up meanwhile


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program runs.

    Attributes:
        folder: Its working folder, not there yet.
        shared: Further folders it can write to.
        uid: Its own user id, or 0 to share the supervisor's.
        cgroup: Whether a cgroup limits memory and processes.
        gpus: Whether it has devices: CUDA maps far more memory than it uses.
        others: Processes and threads the user had anyway.
    """

    folder: str
    shared: tuple[str, ...]
    uid: int
    cgroup: bool
    gpus: bool
    others: int


class Stream:
    """Captured stdout or stderr: the first bytes are kept, all are counted, none is parsed."""

    def __init__(self, descriptor: int, limits: SessionLimits) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._limits = descriptor, limits
        self._total = 0
        self.kept = bytearray()

    def drain(self) -> bool:
        """Read what is there; return whether more may come and is wanted."""
        while not self.flooded:
            try:
                data = os.read(self._descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._total += len(data)
            self.kept += data[: self._limits.stdout_bytes - len(self.kept)]
        return False

    @property
    def flooded(self) -> bool:
        """Whether so much has come that nobody can have meant it."""
        return self._total > self._limits.flood_bytes


class Execution:
    """A program's process and all that belongs to it, until `end`.

    Args:
        template: Forks the process.
        place: Where it runs.
        limits: What it may use.

    Attributes:
        fork: The process.
        tree: It and everything it started.
        calls: Descriptor to write calls to; it does not block.
        results: Descriptor to read results from; likewise.
        streams: stdout and stderr by descriptor.
        peak_bytes: Largest resident size seen.
        started: When it was started, in monotonic nanoseconds; `ended` likewise.

    Raises:
        OSError: no process could be made.
    """

    def __init__(self, template: Template, place: Place, limits: SessionLimits) -> None:
        self._template, self._place, self._limits = template, place, limits
        self.tree = processes.Tree(os.getpid(), template.pid, place.uid)
        self.peak_bytes = 0
        self.started = self.ended = time.monotonic_ns()
        os.mkdir(place.folder, 0o700)  # noqa: PTH102 - as cheap as can be
        if place.uid:
            os.chown(place.folder, place.uid, place.uid)
        self._start()

    def _start(self) -> None:
        calls, self.calls = os.pipe()
        self.results, results = os.pipe()
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        try:
            self.fork = self._template.fork(self._confinement(), (calls, results, stdout, stderr))
        except OSError:
            _close(self.calls, self.results, out, err)
            os.rmdir(self._place.folder)  # noqa: PTH106 - likewise
            raise
        finally:
            _close(calls, results, stdout, stderr)
        self.streams = {fd: Stream(fd, self._limits) for fd in (out, err)}
        for descriptor in (self.calls, self.results):
            os.set_blocking(descriptor, False)
            with suppress(OSError):  # an ordinary user's pipes may be used up
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _confinement(self) -> Confinement:
        limits, here = self._limits, not self._place.cgroup
        # The kernel counts all processes of a user. One that is not the program's own has others.
        others = 0 if self._place.uid else self._place.others + _SPARE_PROCESSES
        return Confinement(
            folder=self._place.folder,
            uid=self._place.uid,
            cpu_s=limits.cpu_ns // 1_000_000_000 + 2,
            disk_bytes=limits.disk_bytes,
            data_bytes=limits.memory_bytes if here and not self._place.gpus else 0,
            processes=limits.processes + others if here else 0,
        )

    def sources(self) -> tuple[int, ...]:
        """Return the descriptors that become readable when something has happened.

        The result pipe comes first: what was said before the end counts.
        """
        return (self.results, *self.streams, self._template.fileno())

    def has_ended(self, *, within_s: float) -> bool:
        """Wait for the process to end by itself; return whether it did."""
        if self.fork.status is None and select.select([self._template], [], [], within_s)[0]:
            self._template.collect(self.fork)
        return self.fork.status is not None

    def note_memory(self, held_bytes: int) -> None:
        """Note what is held now, and the largest resident size of the first process so far."""
        self.peak_bytes = max(self.peak_bytes, held_bytes, processes.peak_bytes(self.fork.pid))

    def end(self) -> bool:
        """Kill everything, read what is left in the pipes, wipe; return whether that is all."""
        self.tree.kill()
        if self.fork.status is None:
            self._template.collect(self.fork)
        gone = self.tree.kill_all()
        self.ended = time.monotonic_ns()
        self.peak_bytes = max(self.peak_bytes, self.fork.peak_bytes)
        for stream in self.streams.values():
            stream.drain()
        _close(self.results, self.calls, *self.streams)
        return self._wipe() and gone

    def _wipe(self) -> bool:
        place, clean = self._place, True
        with processes.acting_as(place.uid):
            for folder in (place.folder, *place.shared):
                clean &= wipe(folder)
            if place.uid:
                clean &= wipe_sysv()
        try:
            os.rmdir(place.folder)  # noqa: PTH106 - likewise
        except OSError:
            return False
        return clean


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
