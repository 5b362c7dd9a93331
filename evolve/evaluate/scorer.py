"""A scorer process, seen from the controller: started on demand, replaced when it fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import anyio
from anyio.abc import Process

from evolve.config.problem import Problem
from evolve.core.errors import ConfigError, EvaluatorError, InfrastructureError
from evolve.core.values import Value
from evolve.evaluate.evaluator import Invalid
from evolve.sandbox import wire
from evolve.sandbox.private import thread_environment
from evolve.sandbox.stream import SocketStream
from evolve.sandbox.wire import FrameReader, Kind, WireError

#: Carries a call of an interacting evaluator to the program: function and encoded inputs -> what it
#: returned, encoded and unchecked. Raises `ProgramFailed`.
Relay: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]

#: Variables a scorer may see; keys are not among them.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
# Where this process finds modules, its child does; nothing is taken from its working folder or from
# variables. The seed makes the order of sets, and so perhaps of cases, the same in every process.
_BOOT = (
    *("-s", "-P", "-B", "-c"),
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from evolve.evaluate.scorer_main import main; main()",
)
_HASH_SEED = {"PYTHONHASHSEED": "0"}

_LOOK_S = 0.25  #: how often memory is looked at while the evaluator works
_CHUNK = 1 << 20
_MAX_ANSWER = 1 << 31
_LOG_BYTES = 2000
_MAX_LOG_BYTES = 1 << 24


class ProgramFailed(Exception):
    """A call of the program failed, which ends the interaction."""


class BadOutput(Exception):
    """What a program returned is not plain data."""


@dataclass(frozen=True, slots=True)
class ScorerLimits:
    """What one step of an evaluator may use.

    Attributes:
        seconds: Wall time of one step: until a request is answered or, while an evaluator
            interacts, until it makes the next call. The program's time does not count.
        start_seconds: The same for importing and constructing the evaluator, and for making the
            cases of a stage.
        memory_mb: Resident mebibytes of its process. A process that has grown by half of it is
            replaced between evaluations. Not watched where there is no ``/proc``.
    """

    seconds: float = 60.0
    start_seconds: float = 300.0
    memory_mb: int = 4096


class Scorer:
    """One process that holds the evaluator. Not safe for concurrent use.

    Args:
        problem: Names the evaluator and its options.
        limits: What a request may use.

    Attributes:
        interacts: Whether the evaluator drives programs itself; known once a request was answered.
        reseeds: Whether it makes inputs from the seeds of repeats; likewise.
    """

    def __init__(self, problem: Problem, limits: ScorerLimits) -> None:
        self._problem, self._limits = problem, limits
        self._process: Process | None = None
        self._stream: SocketStream | None = None
        self._log: IO[bytes] | None = None
        self._reader = FrameReader(_MAX_ANSWER)
        self._frames: list[tuple[Kind, bytes]] = []
        self._allowed_s = self._left_s = 0.0
        self._stages: list[Value] = []
        self._memory_at_start = 0
        self.interacts = self.reseeds = False

    async def ask(
        self,
        operation: str,
        request: Mapping[str, Value],
        *,
        output: bytes = b"",
        relay: Relay | None = None,
    ) -> Any:  # noqa: ANN401 - the operation's own kind of result
        """Have the evaluator do something and return the result.

        Args:
            operation: A method of `evolve.evaluate.scorer_main.Scorer`.
            request: Its arguments; ``stage`` is always among them.
            output: What a program returned, encoded, to be decoded and judged.
            relay: Takes the calls of an interacting evaluator.

        Raises:
            Invalid: the evaluator refused the output.
            ProgramFailed: a call failed, whatever the evaluator made of it.
            BadOutput: what a program returned, or a call of it, is not plain data; likewise.
            EvaluatorError: the evaluator raised, took too long or too much memory.
            ConfigError: the evaluator cannot be constructed.
            InfrastructureError: the process died.
        """
        try:
            await self._prepare(request["stage"])
            self._allow(self._limits.seconds)
            answer = await self._exchange(operation, request, output, relay)
        except (anyio.EndOfStream, anyio.BrokenResourceError, OSError, WireError) as error:
            message = f"its process was lost during {operation} ({error!r}){self._last_words()}"
            await self.aclose()
            raise InfrastructureError(self._where(message)) from error
        except BaseException:  # whatever it is, the conversation is out of step now
            await self.aclose()
            raise
        return self._result(operation, answer)

    async def replace_if_grown(self) -> None:
        """End a process that has come to hold much more memory than when it started."""
        if self._memory() - self._memory_at_start > self._limits.memory_mb << 19:
            await self.aclose()

    async def aclose(self) -> None:
        """Kill the process and all it started; the next request starts another one."""
        process, self._process = self._process, None
        self._reader, self._frames, self._stages = FrameReader(_MAX_ANSWER), [], []
        with anyio.CancelScope(shield=True):
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.aclose()
            if self._stream is not None:
                await self._stream.aclose()
        if self._log is not None:
            self._log.close()
            self._log = None

    async def _prepare(self, stage: Value) -> None:
        """Have a process with the evaluator and the cases of ``stage``."""
        if self._process is None:
            await self._start()
        if stage not in self._stages:
            self._allow(self._limits.start_seconds)
            self._result("cases", await self._exchange("prepare", {"stage": stage}))
            self._stages.append(stage)
            self._memory_at_start = self._memory()

    async def _start(self) -> None:
        """Start the process and have it load the evaluator."""
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._log = tempfile.TemporaryFile("ab+")  # noqa: SIM115 - closed with the process
        ours, theirs = socket.socketpair()
        self._stream = SocketStream(ours)
        with theirs:
            self._process = await anyio.open_process(
                [sys.executable, *_BOOT, _module_path()],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._log,
                env=kept | _HASH_SEED | thread_environment(1),
                start_new_session=True,  # Ctrl-C is for the controller, which decides what ends
            )
        problem = self._problem
        request: dict[str, Value] = {
            "reference": problem.evaluator,
            "folder": str(problem.folder),
            "options": cast("Value", problem.evaluator_options),
        }
        self._allow(self._limits.start_seconds)
        loaded = self._result("load", await self._exchange("load", request))
        self.interacts, self.reseeds = loaded["interacts"], loaded["reseeds"]

    async def _exchange(
        self,
        operation: str,
        request: Mapping[str, Value],
        output: bytes = b"",
        relay: Relay | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its answer, serving calls in between."""
        self._trim_log()
        frames = [wire.pack(Kind.CALL, wire.dumps({"operation": operation, **request}))]
        if output:
            frames.insert(0, wire.pack(Kind.VALUE, output))
        await self._send(b"".join(frames))
        failed = False
        while True:
            kind, body = await self._receive()
            if kind is Kind.REPLY:
                return {"failed": True} if failed else cast("dict[str, Any]", wire.loads(body))
            if kind is not Kind.CALL or relay is None:
                raise WireError(f"{kind.name} out of turn")
            function, inputs = wire.unpack_call(body)
            try:
                value = await relay(function, inputs)
            except ProgramFailed:
                failed = True
                await self._send(wire.pack(Kind.FAILED))
            else:
                self._allow(self._limits.seconds)
                await self._send(wire.pack(Kind.VALUE, value))

    async def _send(self, data: bytes) -> None:
        assert self._stream is not None
        rest = self._stream.send_now(data)
        if rest:
            with anyio.move_on_after(self._left_s) as scope:
                await self._stream.send(bytes(rest))
            if scope.cancelled_caught:
                raise self._too_slow()

    async def _receive(self) -> tuple[Kind, bytes]:
        """Return the next frame, and keep an eye on time and memory until it is there."""
        assert self._stream is not None
        while not self._frames:
            started = time.monotonic()
            with anyio.move_on_after(min(_LOOK_S, self._left_s)) as scope:
                self._frames = self._reader.feed(await self._stream.receive(_CHUNK))
            self._left_s -= time.monotonic() - started
            if scope.cancelled_caught:
                self._look()
        return self._frames.pop(0)

    def _allow(self, seconds: float) -> None:
        self._allowed_s = self._left_s = seconds

    def _look(self) -> None:
        if self._memory() > self._limits.memory_mb << 20:
            raise EvaluatorError(
                self._where(
                    f"took more than {self._limits.memory_mb} MiB of memory and was stopped"
                )
            )
        if self._left_s <= 0:
            raise self._too_slow()
        if self._log is not None and os.fstat(self._log.fileno()).st_size > _MAX_LOG_BYTES:
            self._trim_log()

    def _too_slow(self) -> EvaluatorError:
        message = f"gave no answer within {self._allowed_s:g} s and was stopped"
        return EvaluatorError(self._where(message))

    def _memory(self) -> int:
        """Return the resident size of the process in bytes, 0 when unknown."""
        if self._process is None:
            return 0
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _trim_log(self) -> None:
        if self._log is not None:
            self._log.truncate(0)

    def _last_words(self) -> str:
        """Return the end of what was printed during the request."""
        if self._log is None:
            return ""
        self._log.seek(max(self._log.seek(0, os.SEEK_END) - _LOG_BYTES, 0))
        said = self._log.read().decode("utf-8", "replace").strip()
        return f"; it said:\n{said}" if said else ""

    def _result(self, operation: str, answer: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as for ask
        if "failed" in answer:
            raise ProgramFailed
        if "bad_output" in answer:
            raise BadOutput(answer["bad_output"])
        if "invalid" in answer:
            if operation == "cases":
                raise EvaluatorError(self._where(f"cases raised Invalid: {answer['invalid']}"))
            raise Invalid(answer["invalid"])
        if "config" in answer:
            raise ConfigError(answer["config"])
        if "error" in answer:
            raise EvaluatorError(self._where(f"{operation}: {answer['error']}"))
        return answer["result"]

    def _where(self, message: str) -> str:
        return f"evaluator {self._problem.evaluator} of {self._problem.id}: {message}"


def _module_path() -> str:
    """Return where this process finds modules, independent of the working folder."""
    return json.dumps([str(Path(folder).absolute()) for folder in sys.path])


class ScorerPool:
    """Scorers of one problem; who finds none free waits in line.

    Args:
        problem: Names the evaluator.
        size: Processes at most; each is started when it is first needed.
        limits: What a request may use.
    """

    def __init__(self, problem: Problem, size: int, limits: ScorerLimits) -> None:
        self._idle = [Scorer(problem, limits) for _ in range(size)]
        self._all = tuple(self._idle)
        self._free = anyio.Semaphore(size)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Scorer]:
        """Borrow a scorer; the last one used comes first."""
        async with self._free:
            scorer = self._idle.pop()
            try:
                yield scorer
            finally:
                await scorer.replace_if_grown()
                self._idle.append(scorer)

    async def aclose(self) -> None:
        """End all processes."""
        for scorer in self._all:
            await scorer.aclose()
