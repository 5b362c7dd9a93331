"""One program from fork to wipe, as the supervisor runs it."""

from __future__ import annotations

import enum
import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from evolve.sandbox import wire
from evolve.sandbox.inside import processes
from evolve.sandbox.inside.confine import Confinement
from evolve.sandbox.inside.meters import Meter
from evolve.sandbox.inside.options import SessionLimits
from evolve.sandbox.inside.template import Template
from evolve.sandbox.inside.wipe import wipe, wipe_sysv
from evolve.sandbox.wire import FrameReader, FrameTooLarge, Kind, WireError

#: Outcome, wall and CPU nanoseconds, peak bytes; the value or a message follows.
REPLY = struct.Struct(">BQQQ")
#: Clean or not, wall and CPU nanoseconds, peak bytes, length of stdout; stdout and stderr follow.
CLOSED = struct.Struct(">BQQQQ")
_MESSAGE_BYTES = 4096
_PIPE_BYTES = 1 << 20
_TICK_MS = 50  #: how often limits are looked at while nothing else happens
_LONG_CALL_NS = 5_000_000  #: from here on a call is worth asking the kernel for its memory
_LAST_WORDS_S = 0.2  #: how long a program that closed its result pipe has to end by itself
#: What a program may say of itself; everything else is established from outside.
_OWN_WORDS = ("bad_output", "exception", "out_of_memory", "process_limit")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session runs.

    Attributes:
        folder: The program's working folder, not there yet.
        shared: Further folders it can write to.
        uid: Its own user id, or 0 to share the supervisor's.
        cgroup: Whether a cgroup limits memory and processes.
    """

    folder: str
    shared: tuple[str, ...]
    uid: int
    cgroup: bool


class _State(enum.Enum):
    LOADING = "loading"
    WAITING = "waiting"  #: loaded, and asked nothing
    ANSWERING = "answering"
    ENDED = "ended"


class Session:
    """A program in its process.

    Args:
        template: Forks that process.
        place: Where.
        limits: What the session may use.
        meter: Measures it.
        poll: Gets the session's descriptors; their events go to `handle`.
        reply: Takes the body of each reply frame.

    Raises:
        OSError: no process could be made.
    """

    def __init__(
        self,
        *,
        template: Template,
        place: Place,
        limits: SessionLimits,
        meter: Meter,
        poll: select.poll,
        reply: Callable[[bytes], None],
    ) -> None:
        self._template, self._place, self._limits = template, place, limits
        self._meter, self._poll, self._reply = meter, poll, reply
        self._tree = processes.Tree(os.getpid(), template.pid, place.uid)
        self._state = _State.LOADING
        self._asked: bytes | None = None  #: a call that came while loading
        self._failure: bytes | None = None  #: the reply to every call from then on
        self._outgoing = memoryview(b"")
        self._reader = FrameReader(limits.result_bytes)
        self._result_left = limits.result_bytes
        self._wall_left = limits.wall_ns
        self._peak = 0
        self._clean = True
        self._started = self._since = time.monotonic_ns()
        self._since_cpu = self._next_look = 0
        self._start()

    def _start(self) -> None:
        os.mkdir(self._place.folder, 0o700)  # noqa: PTH102 - as cheap as can be
        if self._place.uid:
            os.chown(self._place.folder, self._place.uid, self._place.uid)
        calls, self._calls = os.pipe()
        self._results, results = os.pipe()
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        theirs = (calls, results, stdout, stderr)
        try:
            self._fork = self._template.fork(self._confinement(), theirs)
        except OSError:
            for descriptor in (self._calls, self._results, out, err):
                os.close(descriptor)
            os.rmdir(self._place.folder)  # noqa: PTH106 - likewise
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._meter.start(self._tree, self._fork, self._limits.memory_bytes)
        self._streams = {fd: _Stream(fd, self._limits) for fd in (out, err)}
        for descriptor in (self._calls, self._results):
            os.set_blocking(descriptor, False)
            with suppress(OSError):  # an ordinary user's pipes may be used up
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        for descriptor in (self._results, out, err, self._template.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    def _confinement(self) -> Confinement:
        limits, here = self._limits, not self._place.cgroup
        return Confinement(
            folder=self._place.folder,
            uid=self._place.uid,
            cpu_s=limits.cpu_ns // 1_000_000_000 + 2,
            disk_bytes=limits.disk_bytes,
            data_bytes=limits.memory_bytes if here else 0,
            processes=limits.processes + self._others() if here else 0,
        )

    def _others(self) -> int:
        """Count what the limit on processes counts besides the program: others of the same user."""
        return 0 if self._place.uid else processes.threads_of(os.getuid())

    def load(self, program: bytes) -> None:
        """Hand the program over."""
        self._send(Kind.OPEN, program)

    def call(self, body: bytes) -> None:
        """Pass a call on, now or when the program has loaded."""
        if self._failure is not None:
            self._reply(self._failure)
        elif self._state is _State.LOADING:
            self._asked = body
        else:
            self._state = _State.ANSWERING
            self._since_cpu = self._meter.cpu_ns()
            self._since = time.monotonic_ns()
            self._send(Kind.CALL, body)

    def handle(self, descriptor: int) -> None:
        """Act on an event of one of the session's descriptors."""
        if descriptor == self._results:
            self._take_result()
        elif descriptor == self._calls:
            self._pump()
        elif descriptor == self._template.fileno():
            self._template.collect(self._fork)
            self._fail_by_status()
        elif not self._streams[descriptor].drain():
            self._poll.unregister(descriptor)
            if self._streams[descriptor].flooded:
                self._fail("output_too_large", "printed far more than is kept")

    def patience_ms(self) -> int:
        """Return how long the supervisor may sleep, in milliseconds."""
        if not self._owes:
            return _TICK_MS
        left = self._wall_left - (time.monotonic_ns() - self._since)
        return min(_TICK_MS, max(left, 0) // 1_000_000 + 1)

    def check(self) -> None:
        """Look at the limits and end the session when one is exceeded."""
        if self._state is _State.ENDED:
            return
        now = time.monotonic_ns()
        if self._late(now):
            outcome = "out_of_memory" if self._meter.memory_kills() else "wall_timeout"
            self._fail(outcome, f"no answer within {self._limits.wall_ns / 1e9:g} s")
            return
        if now < self._next_look:
            return
        self._next_look = now + _TICK_MS * 1_000_000
        self._tree.collect_orphans()
        if self._meter.cpu_ns() > self._limits.cpu_ns:
            self._fail("cpu_timeout", f"used {self._limits.cpu_ns / 1e9:g} s of CPU time")
        elif self._meter.above_memory():
            self._fail("out_of_memory", f"held {self._limits.memory_bytes >> 20} MiB of memory")

    def close(self) -> bytes:
        """End the session and return the body of its `wire.Kind.CLOSED` frame."""
        if self._state is not _State.ENDED:
            self._end()
        out, err = (bytes(stream.kept) for stream in self._streams.values())
        wall = self._ended - self._started
        head = CLOSED.pack(self._clean, wall, self._meter.cpu_ns(), self._peak, len(out))
        return head + out + err

    @property
    def _owes(self) -> bool:
        """Whether the program is expected to do something; only then its wall clock runs."""
        return self._state in (_State.LOADING, _State.ANSWERING)

    def _late(self, now: int) -> bool:
        return self._owes and now - self._since > self._wall_left

    def _send(self, kind: Kind, body: bytes) -> None:
        self._outgoing = memoryview(wire.pack(kind, body))
        self._pump()

    def _pump(self) -> None:
        """Write what the pipe takes; come back for the rest when it takes more."""
        try:
            self._outgoing = self._outgoing[os.write(self._calls, self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing = memoryview(b"")  # nobody reads: how it ended will be known shortly
        if self._outgoing:
            self._poll.register(self._calls, select.POLLOUT)
        else:
            with suppress(KeyError):
                self._poll.unregister(self._calls)

    def _take_result(self) -> None:
        try:
            data = os.read(self._results, _PIPE_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._fail_silent()
            return
        try:
            frames = self._reader.feed(data)
        except FrameTooLarge as error:
            self._fail("output_too_large", f"returned {error}")
            return
        except WireError as error:
            self._fail("bad_output", f"wrote no protocol to its result pipe: {error}")
            return
        if frames:
            self._take_frame(*frames[0], alone=len(frames) == 1 and not self._reader.partial)

    def _take_frame(self, kind: Kind, body: bytes, *, alone: bool) -> None:
        expected = {_State.LOADING: Kind.LOADED, _State.ANSWERING: Kind.VALUE}.get(self._state)
        if kind is Kind.FAILED and expected is not None:
            self._fail_by_own_words(body)
        elif kind is not expected or not alone:
            self._fail("bad_output", "wrote to its result pipe without being asked")
        elif self._late(now := time.monotonic_ns()):
            self.check()
        elif kind is Kind.LOADED:
            self._wall_left -= now - self._since
            self._state = _State.WAITING
            asked, self._asked = self._asked, None
            if asked is not None:
                self.call(asked)
        else:
            self._result_left -= len(body)
            self._reader.limit = self._result_left
            wall, cpu = self._used()
            self._wall_left -= wall
            if wall > _LONG_CALL_NS or not self._peak:
                self._peak = max(self._peak, processes.peak_bytes(self._fork.pid))
            self._reply(REPLY.pack(wire.OUTCOMES.index("ok"), wall, cpu, self._peak) + body)
            self._state = _State.WAITING

    def _used(self) -> tuple[int, int]:
        """Return wall and CPU nanoseconds since the program was last told to do something."""
        if not self._owes:
            return 0, 0
        wall = time.monotonic_ns() - self._since
        return wall, max(self._meter.cpu_ns() - self._since_cpu, 0)

    def _fail_by_own_words(self, body: bytes) -> None:
        number = body[0] if body else 0
        outcome = wire.OUTCOMES[number] if number < len(wire.OUTCOMES) else ""
        if outcome not in _OWN_WORDS:
            outcome = "bad_output"
        if outcome == "exception" and self._meter.forks_refused():
            outcome = "process_limit"
        self._fail(outcome, body[1 : 1 + _MESSAGE_BYTES].decode("utf-8", "replace"))

    def _fail_silent(self) -> None:
        """Find out why the result pipe was closed: by the process ending, or by the program."""
        ended, _, _ = select.select([self._template], [], [], _LAST_WORDS_S)
        if ended:
            self._template.collect(self._fork)
            self._fail_by_status()
        else:
            self._fail("bad_output", "closed its result pipe")

    def _fail_by_status(self) -> None:
        """Say how the process ended, which nothing in it could prevent or forge."""
        self._meter.finish(self._fork, self._tree.orphans_ns)
        status = self._fork.status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number == signal.SIGKILL and self._meter.memory_kills():
            limit = self._limits.memory_bytes >> 20
            self._fail("out_of_memory", f"killed for using more than {limit} MiB of memory")
        elif number == signal.SIGXCPU or (number and self._meter.cpu_ns() > self._limits.cpu_ns):
            self._fail("cpu_timeout", f"used {self._limits.cpu_ns / 1e9:g} s of CPU time")
        elif number:
            self._fail("signal", f"killed by {signal.Signals(number).name}")
        else:
            code = os.WEXITSTATUS(status)
            self._fail("exit", f"ended its own process with status {code} before answering")

    def _fail(self, outcome: str, message: str) -> None:
        """End the session; the failure answers the call in progress, or the next one."""
        asked = self._state is _State.ANSWERING or self._asked is not None
        wall, cpu = self._used()
        self._end()
        head = REPLY.pack(wire.OUTCOMES.index(outcome), wall, cpu, self._peak)
        self._failure = head + message.encode("utf-8", "replace")
        if asked:
            self._reply(self._failure)

    def _end(self) -> None:
        """Kill everything, read what was left in the pipes, measure, wipe."""
        self._state = _State.ENDED
        self._peak = max(self._peak, processes.peak_bytes(self._fork.pid))
        self._tree.kill()
        if self._fork.status is None:
            self._template.collect(self._fork)
        self._clean = self._tree.kill_all()
        self._ended = time.monotonic_ns()
        self._peak = max(self._peak, self._fork.peak_bytes)
        for descriptor in (self._template.fileno(), self._results, self._calls, *self._streams):
            with suppress(KeyError):
                self._poll.unregister(descriptor)
        for stream in self._streams.values():
            stream.drain()
        for descriptor in (self._results, self._calls, *self._streams):
            os.close(descriptor)
        self._wipe()
        self._meter.finish(self._fork, self._tree.orphans_ns)

    def _wipe(self) -> None:
        with processes.acting_as(self._place.uid):
            for folder in (self._place.folder, *self._place.shared):
                self._clean &= wipe(folder)
            if self._place.uid:
                self._clean &= wipe_sysv()
        try:
            os.rmdir(self._place.folder)  # noqa: PTH106 - likewise
        except OSError:
            self._clean = False


class _Stream:
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
                data = os.read(self._descriptor, _PIPE_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._total += len(data)
            self.kept += data[: self._limits.stdout_bytes - len(self.kept)]
        return False

    @property
    def flooded(self) -> bool:
        return self._total > self._limits.flood_bytes
