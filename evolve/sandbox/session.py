"""One program in a slot, as the controller sees it: calls out, replies in, all of them checked."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from evolve.core.errors import EvaluatorError, InfrastructureError
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.values import Value
from evolve.sandbox import wire
from evolve.sandbox.base import Job, Reply, Report, Session
from evolve.sandbox.inside.options import Opening, SessionLimits
from evolve.sandbox.inside.session import CLOSED, REPLY
from evolve.sandbox.wire import FrameReader, Kind, WireError

#: What reading from or writing to a runner raises when it is gone or no longer to be trusted.
LOST = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, WireError)

_GIVEN_UP = Reply(Outcome.INFRASTRUCTURE, message="an earlier call of the session was given up")
GRACE_S = 30.0  #: how much later than a program's deadline a reply may come
_CHUNK = 1 << 16
_SLACK_BYTES = 1 << 16
_LARGE_BYTES = 1 << 18  #: values from here on are decoded in a worker thread
_MESSAGE_BYTES = 4096
_ARRAY = b'{"$":['  #: how an encoded array starts
_LIBRARY = re.compile(r"^\s*(?:from|import)\s+((?:numpy|scipy)(?:\.[a-z_]+)?)", re.MULTILINE)
_FROM_SCIPY = re.compile(r"^\s*from\s+scipy\s+import\s+([a-z_, ]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a runner says when it is ready.

    Attributes:
        python: Version of the interpreter that programs run in.
        obtained: Words for the isolation it has: ``namespaces``, ``users``, ``filter``.
        gpus: Identifiers of the devices that CUDA offers there, if it was told to look.
        trouble: What kept it from seeing any.
    """

    python: str
    obtained: frozenset[str] = field(default_factory=frozenset)
    gpus: frozenset[str] = field(default_factory=frozenset)
    trouble: str = ""


class Link:
    """Frames to and from one runner.

    Attributes:
        sessions: How many it has served.
        libraries: What it has imported for programs.
        failed: Whether it has stopped making sense, so that nothing more is asked of it.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._reader = FrameReader(_SLACK_BYTES)
        self._frames: list[tuple[Kind, bytes]] = []
        self.sessions = 0
        self.libraries: frozenset[str] = frozenset()
        self.failed = False

    async def greeting(self) -> Greeting:
        """Return what the runner says when it is ready."""
        kind, body = await self.receive()
        try:
            fields = json.loads(body)
            return Greeting(
                python=str(fields["python"]),
                obtained=frozenset(map(str, fields["obtained"])),
                gpus=frozenset(map(str, fields.get("gpus", ()))),
                trouble=str(fields.get("trouble", "")),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise WireError(f"a runner greeted with {kind!r}: {error}") from error

    async def prepare(self, libraries: frozenset[str]) -> None:
        """Have ``libraries`` imported, and wait until they are."""
        if libraries <= self.libraries:
            return
        self.libraries |= libraries
        await self.send(wire.pack(Kind.PREPARE, json.dumps(sorted(libraries)).encode()))
        kind, _ = await self.receive()
        if kind is not Kind.PREPARED:
            raise WireError(f"a runner answered {kind!r} instead of having imported libraries")

    def expect(self, limits: Limits) -> None:
        """Take frames as large as a session under ``limits`` may send."""
        result, streams = limits.result_mb << 20, 2 * limits.output_kb << 10
        self._reader.limit = max(result, streams) + _SLACK_BYTES

    async def send(self, *frames: bytes) -> None:
        """Send frames together."""
        await self._stream.send(b"".join(frames))

    async def receive(self) -> tuple[Kind, bytes]:
        """Return the next frame."""
        while not self._frames:
            self._frames = self._reader.feed(await self._stream.receive(_CHUNK))
        return self._frames.pop(0)

    async def aclose(self) -> None:
        """Close the connection; a runner takes that as the order to end."""
        self.failed = True
        await self._stream.aclose()


class ForwardingSession(Session):
    """A session that passes encoded calls on, and decodes what comes back where it is asked to."""

    def __init__(self) -> None:
        self._failure: Reply | None = None

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        """Call the entrypoint, or another top-level ``function`` of the same file.

        Raises:
            InfrastructureError: the slot itself failed.
            EvaluatorError: ``inputs`` are not plain data.
        """
        try:
            encoded = wire.dumps(dict(inputs))
        except WireError as error:
            raise EvaluatorError(f"the inputs of a call are {error}") from None
        reply = await self.forward(encoded, function=function)
        if reply.outcome is not Outcome.OK:
            return reply
        try:
            if len(reply.encoded) < _LARGE_BYTES:
                value = wire.loads(reply.encoded)
            else:
                value = await anyio.to_thread.run_sync(wire.loads, reply.encoded)
        except WireError as error:
            self._failure = Reply(Outcome.BAD_OUTPUT, message=str(error), usage=reply.usage)
            return self._failure
        return Reply(Outcome.OK, value, usage=reply.usage)


class RunnerSession(ForwardingSession):
    """A session on a resident runner.

    Args:
        link: The runner.
        job: What to load.
        post_mortem: Tells why the runner is gone, when it is.
    """

    def __init__(self, link: Link, job: Job, post_mortem: Callable[[], Awaitable[Outcome]]) -> None:
        super().__init__()
        self._link, self._job, self._post_mortem = link, job, post_mortem
        self._opened = False
        self._wall_left_s = job.limits.wall_s
        self._report = Report()

    @property
    def report(self) -> Report:
        """What the session used and printed; final after the context is left."""
        return self._report

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        """Pass a call on, and its answer back, without looking into either.

        Raises:
            InfrastructureError: the slot itself failed.
            EvaluatorError: the program is a command, and the call is not one for it.
        """
        if self._job.command is not None:
            inputs = _for_a_command(inputs, function)
        reply = self._failure
        if reply is None:
            self._failure = _GIVEN_UP  # if this is cancelled, the answer is not the next call's
            reply = await self._exchange(function, inputs)
            self._failure = None if reply.outcome is Outcome.OK else reply
        if reply.outcome is Outcome.INFRASTRUCTURE:
            raise InfrastructureError(reply.message)
        return reply

    async def _open(self, inputs: bytes) -> bytes:
        """Have the libraries imported that the program will need; return the frame to load it."""
        job, self._opened = self._job, True
        self._link.sessions += 1
        self._link.expect(job.limits)
        path, _, function = job.entrypoint.rpartition(":")
        if not path:
            path = next(iter(job.program.files))
        program = {
            "files": dict(job.program.files),
            "entry": str(PurePosixPath(path)),
            "function": function,
            "harness": job.harness,
            "command": asdict(job.command) if job.command else None,
            "result_bytes": job.limits.result_mb << 20,
        }
        libraries = frozenset() if job.command else _libraries(job)
        if _ARRAY in inputs:
            libraries |= {"numpy"}
        await self._link.prepare(libraries)
        opening = Opening(_in_kernel_units(job.limits), json.dumps(program))
        return wire.pack(Kind.OPEN, opening.to_bytes())

    async def _exchange(self, function: str, inputs: bytes) -> Reply:
        frames = [wire.pack(Kind.CALL, wire.pack_call(function, inputs))]
        try:
            with anyio.fail_after(self._wall_left_s + GRACE_S):
                self._link.failed = True  # until the frames are out whole
                if not self._opened:
                    frames.insert(0, await self._open(inputs))
                await self._link.send(*frames)
                self._link.failed = False
                kind, body = await self._link.receive()
            if kind is not Kind.REPLY or len(body) < REPLY.size:
                raise WireError("a runner sent no reply")
            return self._reply(body)
        except TimeoutError:
            self._link.failed = True
            return Reply(Outcome.RUNNER_LOST, message="the runner missed the program's deadline")
        except LOST as error:
            self._link.failed = True
            outcome = await self._post_mortem()
            return Reply(outcome, message=f"the runner was lost with the program ({error!r})")

    def _reply(self, body: bytes) -> Reply:
        number, wall_ns, cpu_ns, peak = REPLY.unpack_from(body)
        if number >= len(wire.OUTCOMES):
            raise WireError(f"a runner replied with outcome {number}")
        outcome = Outcome(wire.OUTCOMES[number])
        self._wall_left_s = max(self._wall_left_s - wall_ns / 1e9, 0.0)
        usage, payload = Usage(wall_ns, cpu_ns, peak), body[REPLY.size :]
        if outcome is Outcome.OK:
            return Reply(outcome, usage=usage, encoded=payload)
        message = payload[:_MESSAGE_BYTES].decode("utf-8", "replace")
        return Reply(outcome, message=message, usage=usage)

    async def close(self) -> bool:
        """End the session, complete the report, and return whether nothing was left behind.

        Raises:
            WireError: the runner makes no sense. The other exceptions of `LOST`: it is gone.
        """
        if self._link.failed:
            return False
        if not self._opened:
            return True
        await self._link.send(wire.pack(Kind.CLOSE))
        kind, body = await self._link.receive()
        while kind is Kind.REPLY:  # to a call that was given up
            kind, body = await self._link.receive()
        if kind is not Kind.CLOSED or len(body) < CLOSED.size:
            raise WireError("a runner sent no report")
        clean, wall_ns, cpu_ns, peak, length = CLOSED.unpack_from(body)
        streams = body[CLOSED.size :]
        self._report = Report(
            Usage(wall_ns, cpu_ns, peak),
            stdout=streams[:length].decode("utf-8", "replace"),
            stderr=streams[length:].decode("utf-8", "replace"),
        )
        return bool(clean)


def _for_a_command(inputs: bytes, function: str) -> bytes:
    """Return encoded inputs with lists for arrays: what JSON has."""
    if function:
        raise EvaluatorError(f"a program that is a command has no function {function!r} to call")
    if _ARRAY not in inputs:
        return inputs
    try:
        return wire.dumps(_as_lists(wire.loads(inputs)))
    except WireError as error:
        raise EvaluatorError(f"the inputs of a command are JSON: {error}") from None


def _as_lists(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {name: _as_lists(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_lists(item) for item in value]
    to_list: Callable[[], Value] | None = getattr(value, "tolist", None)
    return to_list() if to_list else value


def _libraries(job: Job) -> frozenset[str]:
    """Return the modules of numpy and scipy that a source imports at the start of a line."""
    text = "\n".join([*job.program.files.values(), job.harness])
    found = set(_LIBRARY.findall(text))
    for names in _FROM_SCIPY.findall(text):
        found |= {f"scipy.{name.strip()}" for name in names.split(",") if name.strip()}
    return frozenset(found)


def _in_kernel_units(limits: Limits) -> SessionLimits:
    return SessionLimits(
        wall_ns=round(limits.wall_s * 1e9),
        cpu_ns=round(limits.cpu_seconds * 1e9),
        memory_bytes=limits.memory_mb << 20,
        processes=limits.processes,
        disk_bytes=limits.disk_mb << 20,
        stdout_bytes=limits.output_kb << 10,
        result_bytes=limits.result_mb << 20,
    )
