"""One program as the supervisor serves it: calls in, replies out, the clock and the limits kept."""

from __future__ import annotations

import enum
import os
import select
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from evolve.sandbox import wire
from evolve.sandbox.inside.execution import CHUNK, Execution
from evolve.sandbox.inside.meters import Meter
from evolve.sandbox.inside.options import SessionLimits
from evolve.sandbox.inside.processes import Held
from evolve.sandbox.wire import FrameReader, FrameTooLarge, Kind, WireError

#: Outcome, wall and CPU nanoseconds, peak bytes; the value or a message follows.
REPLY = struct.Struct(">BQQQ")
#: Clean or not, wall and CPU nanoseconds, peak bytes, length of stdout; stdout and stderr follow.
CLOSED = struct.Struct(">BQQQQ")
_MESSAGE_BYTES = 4096
_TICK_MS = 50  #: how often limits are looked at while nothing else happens
_CLOSE_LOOK_NS = 250_000_000
_LONG_CALL_NS = 5_000_000  #: from here on a call is worth asking the kernel for its memory
_LAST_WORDS_S = 1.0  #: how long a program that closed its result pipe has to end by itself
#: What a program may say of itself; everything else is established from outside.
_OWN_WORDS = (
    *("bad_output", "exception", "exit", "out_of_memory", "output_too_large", "process_limit"),
    "signal",
)


class _State(enum.Enum):
    LOADING = "loading"
    WAITING = "waiting"  #: loaded, and asked nothing
    ANSWERING = "answering"
    ENDED = "ended"


class Session:
    """A program being served.

    Args:
        execution: Its process.
        limits: What it may use.
        meter: Measures it; started here.
        poll: Gets the descriptors; their events go to `handle`.
        reply: Takes the parts of the body of each reply frame.
    """

    def __init__(
        self,
        execution: Execution,
        limits: SessionLimits,
        meter: Meter,
        poll: select.poll,
        reply: Callable[..., None],
    ) -> None:
        self._execution, self._limits = execution, limits
        self._meter, self._poll, self._reply = meter, poll, reply
        self._state = _State.LOADING
        self._asked: bytes | None = None  #: a call that came while loading
        self._failure: bytes | None = None  #: the reply to every call from then on
        self._clean = True
        self._outgoing = memoryview(b"")
        self._writing = False  #: whether it waits for the pipe to take more
        self._reader = FrameReader(limits.result_bytes)
        self._wall_left = limits.wall_ns
        self._since = execution.started  #: when it was last told to do something
        self._since_cpu = 0  #: CPU time when it last answered: work between calls is paid for
        self._next_look = self._next_close_look = 0
        self._most_threads = 0
        meter.start(execution.tree, execution.fork)
        for descriptor in execution.sources():
            poll.register(descriptor, select.POLLIN)

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
            self._since = time.monotonic_ns()
            self._send(Kind.CALL, body)

    def handle(self, descriptor: int) -> None:
        """Act on an event of one of the session's descriptors."""
        stream = self._execution.streams.get(descriptor)
        if descriptor == self._execution.results:
            self._take_result()
        elif descriptor == self._execution.calls:
            self._pump()
        elif stream is None:
            self._fail_at_end()
        elif not stream.drain():
            self._poll.unregister(descriptor)
            if stream.flooded:
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
        elif now >= self._next_look:
            self._next_look = now + _TICK_MS * 1_000_000
            self._execution.tree.collect_orphans()
            self._check_held()

    def _check_held(self) -> None:
        """Look at CPU time, and at what the kernel limits late or not at all."""
        limits = self._limits
        memory_bytes, threads = self._held()
        self._most_threads = max(self._most_threads, threads)
        if self._meter.cpu_ns() > limits.cpu_ns:
            self._fail("cpu_timeout", f"used {limits.cpu_ns / 1e9:g} s of CPU time")
        elif threads > limits.processes:  # before memory, which so many of them take up as well
            self._fail("process_limit", f"had more than {limits.processes} processes and threads")
        elif memory_bytes > limits.memory_bytes:
            self._fail("out_of_memory", f"held more than {limits.memory_bytes >> 20} MiB of memory")

    def _held(self) -> Held:
        """Return what the program holds, and note its memory.

        What several processes share is dear to find out where no cgroup counts it; that is done
        now and then, and whenever the limit may have been passed.
        """
        execution, counted = self._execution, self._meter.memory_bytes()
        if counted is not None or self._next_look < self._next_close_look:
            execution.note_memory(counted or 0)
            return execution.tree.held(self._limits.memory_bytes)
        self._next_close_look = self._next_look + _CLOSE_LOOK_NS
        held = execution.tree.held(execution.peak_bytes)
        execution.note_memory(held.memory_bytes)
        return held

    def close(self) -> bytes:
        """End the session and return the body of its `wire.Kind.CLOSED` frame."""
        self._end()
        execution = self._execution
        out, err = (bytes(stream.kept) for stream in execution.streams.values())
        wall, cpu = execution.ended - execution.started, self._meter.cpu_ns()
        return CLOSED.pack(self._clean, wall, cpu, execution.peak_bytes, len(out)) + out + err

    def abandon(self) -> None:
        """Kill the program without any further ado."""
        self._execution.tree.kill()

    @property
    def _owes(self) -> bool:
        """Whether the program is expected to do something; only then its wall clock runs."""
        return self._state in (_State.LOADING, _State.ANSWERING)

    def _late(self, now: int) -> bool:
        return self._owes and now - self._since > self._wall_left

    def _used(self) -> tuple[int, int]:
        """Return wall nanoseconds since the program was last told to do something, and CPU
        nanoseconds since it last answered.
        """
        if not self._owes:
            return 0, 0
        wall = time.monotonic_ns() - self._since
        return wall, max(self._meter.cpu_ns() - self._since_cpu, 0)

    def _send(self, kind: Kind, body: bytes) -> None:
        self._outgoing = memoryview(wire.pack(kind, body))
        self._pump()

    def _pump(self) -> None:
        """Write what the pipe takes; come back for the rest when it takes more."""
        calls = self._execution.calls
        try:
            self._outgoing = self._outgoing[os.write(calls, self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing = memoryview(b"")  # nobody reads: how it ended will be known shortly
        if bool(self._outgoing) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._poll.register(calls, select.POLLOUT)
            else:
                self._poll.unregister(calls)

    def _take_result(self) -> None:
        try:
            data = os.read(self._execution.results, CHUNK)
            if not data:
                self._fail_at_end()
                return
            frames = self._reader.feed(data)
        except BlockingIOError:
            return
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
        elif self._late(time.monotonic_ns()):
            self.check()
        else:
            wall, cpu = self._used()
            self._wall_left -= wall
            self._since_cpu += cpu
            self._state = _State.WAITING
            if kind is Kind.VALUE:
                self._pass_on(body, wall, cpu)
            elif self._asked is not None:
                asked, self._asked = self._asked, None
                self.call(asked)

    def _pass_on(self, value: bytes, wall: int, cpu: int) -> None:
        self._reader.limit -= len(value)
        execution = self._execution
        if wall > _LONG_CALL_NS or not execution.peak_bytes:
            execution.note_memory(self._meter.memory_bytes() or 0)
        number = wire.OUTCOMES.index("ok")
        self._reply(REPLY.pack(number, wall, cpu, execution.peak_bytes), value)

    def _fail_by_own_words(self, body: bytes) -> None:
        number = body[0] if body else 0
        outcome = wire.OUTCOMES[number] if number < len(wire.OUTCOMES) else ""
        if outcome not in _OWN_WORDS:
            outcome = "bad_output"
        if outcome == "process_limit" and not self._has_met_process_limit():
            outcome = "exception"
        if outcome == "signal" and self._meter.memory_kills():
            outcome = "out_of_memory"
        elif outcome == "signal" and self._meter.cpu_ns() > self._limits.cpu_ns:
            outcome = "cpu_timeout"
        self._fail(outcome, body[1 : 1 + _MESSAGE_BYTES].decode("utf-8", "replace"))

    def _has_met_process_limit(self) -> bool:
        """Return whether the kernel bears out that forks failed; else whether there were any.

        Without a cgroup nobody counts: the dead that nobody has waited for are beyond a look.
        """
        refused = self._meter.forks_refused()
        if refused is not None:
            return refused
        return max(self._most_threads, self._execution.tree.held(1 << 62).threads) > 1

    def _fail_at_end(self) -> None:
        """Say how the process ended, which nothing in it could prevent or forge."""
        execution, limits = self._execution, self._limits
        if not execution.has_ended(within_s=_LAST_WORDS_S):
            self._fail("bad_output", "closed its result pipe")
            return
        self._meter.finish(execution.fork, execution.tree.orphans_ns)
        code = os.waitstatus_to_exitcode(execution.fork.status or 0)
        if code == -signal.SIGKILL and self._meter.memory_kills():
            limit = limits.memory_bytes >> 20
            self._fail("out_of_memory", f"killed for using more than {limit} MiB of memory")
        elif code == -signal.SIGXCPU or (code < 0 and self._meter.cpu_ns() > limits.cpu_ns):
            self._fail("cpu_timeout", f"used {limits.cpu_ns / 1e9:g} s of CPU time")
        elif code < 0:
            self._fail("signal", f"killed by signal {-code} ({signal.strsignal(-code)})")
        else:
            self._fail("exit", f"ended its own process with status {code} before answering")

    def _fail(self, outcome: str, message: str) -> None:
        """End the session; the failure answers the call in progress, or the next one."""
        asked = self._state is _State.ANSWERING or self._asked is not None
        wall, cpu = self._used()
        self._end()
        head = REPLY.pack(wire.OUTCOMES.index(outcome), wall, cpu, self._execution.peak_bytes)
        self._failure = head + message.encode("utf-8", "replace")
        if asked:
            self._reply(self._failure)

    def _end(self) -> None:
        if self._state is _State.ENDED:
            return
        self._state = _State.ENDED
        execution = self._execution
        execution.note_memory(self._meter.memory_bytes() or 0)
        for descriptor in (execution.calls, *execution.sources()):
            with suppress(KeyError):
                self._poll.unregister(descriptor)
        self._clean = execution.end()
        self._meter.finish(execution.fork, execution.tree.orphans_ns)
