"""A scorer process, seen from the controller: started on demand, replaced when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import anyio
from anyio.abc import Process

from evolve.config.problem import Problem
from evolve.core.errors import EvaluatorError
from evolve.core.values import Value
from evolve.sandbox.wire import FrameReader, Kind, WireError, dumps, loads, pack

#: How an interacting evaluator's call reaches the program: function, inputs -> answer.
Relay: TypeAlias = Callable[[str, Mapping[str, Value]], Awaitable[dict[str, Value]]]

#: Resident memory above which a scorer is replaced, in bytes.
MEMORY_LIMIT = 2 << 30
#: Variables a scorer may see; keys are not among them.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
_MAX_ANSWER = 1 << 30
_LOG_BYTES = 2000


class Scorer:
    """One process that holds the evaluator. Not safe for concurrent use.

    Args:
        problem: Names the evaluator and its options.
        timeout_s: Longest time between a request and its answer, calls of the program excluded.
    """

    def __init__(self, problem: Problem, timeout_s: float) -> None:
        self._problem, self._timeout_s = problem, timeout_s
        self._process: Process | None = None
        self._reader = FrameReader(_MAX_ANSWER)
        self._frames: list[tuple[Kind, bytes]] = []
        self._log: IO[bytes] | None = None

    async def ask(
        self, operation: str, *, relay: Relay | None = None, **request: Value
    ) -> dict[str, Any]:
        """Have the evaluator do something.

        Args:
            operation: ``cases``, ``score``, ``interact`` or ``combine``.
            relay: Answers the calls of an interacting evaluator.
            request: The operation's arguments.

        Returns:
            ``{"result": ...}``, ``{"invalid": message}`` or ``{"failed": True}``.

        Raises:
            EvaluatorError: the evaluator raised, hung, or its process died.
        """
        try:
            answer = await self._exchange(operation, relay, request)
        except BaseException:  # whatever it is, the conversation is out of step now
            await self.aclose()
            raise
        if "error" in answer:
            raise EvaluatorError(self._where(f"{operation}: {answer['error']}"))
        if self._memory() > MEMORY_LIMIT:
            await self.aclose()
        return answer

    async def aclose(self) -> None:
        """Kill the process; the next request starts another one."""
        process, self._process = self._process, None
        self._reader, self._frames = FrameReader(_MAX_ANSWER), []
        with anyio.CancelScope(shield=True):
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                await process.aclose()
        if self._log is not None:
            self._log.close()
            self._log = None

    async def _exchange(
        self, operation: str, relay: Relay | None, request: Mapping[str, Value]
    ) -> dict[str, Any]:
        """Send a request and wait for its answer, serving calls in between."""
        try:
            if self._process is None:
                await self._start()
            await self._send(Kind.CALL, {"operation": operation, **request})
            return await self._answer(relay)
        except TimeoutError:
            message = f"{operation} took longer than {self._timeout_s:g} s"
            raise EvaluatorError(self._where(message)) from None
        except (anyio.EndOfStream, anyio.BrokenResourceError, WireError) as error:
            message = f"its process died during {operation}{self._last_words()}"
            raise EvaluatorError(self._where(message)) from error

    async def _start(self) -> None:
        """Start the process and have it load the evaluator."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = await anyio.open_process(
            [sys.executable, "-I", "-m", "evolve.evaluate.scorer_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            start_new_session=True,  # Ctrl-C is for the controller, which decides what ends when
        )
        problem = self._problem
        await self._send(
            Kind.CALL,
            {
                "reference": problem.evaluator,
                "folder": str(problem.folder.resolve()),
                "options": cast("Value", problem.evaluator_options),
            },
        )
        answer = await self._answer(None)
        if "error" in answer:
            raise EvaluatorError(self._where(str(answer["error"])))

    async def _answer(self, relay: Relay | None) -> dict[str, Any]:
        """Return the next answer; calls that come before it go through ``relay``."""
        while True:
            with anyio.fail_after(self._timeout_s):
                kind, body = await self._receive()
            message = cast("dict[str, Any]", loads(body))
            if kind is Kind.REPLY:
                return message
            if relay is None:
                raise WireError("a call outside of an interaction")
            await self._send(Kind.VALUE, await relay(message["function"], message["inputs"]))

    async def _send(self, kind: Kind, value: Value) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with anyio.fail_after(self._timeout_s):
            await self._process.stdin.send(pack(kind, dumps(value)))

    async def _receive(self) -> tuple[Kind, bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        while not self._frames:
            self._frames = self._reader.feed(await self._process.stdout.receive(1 << 20))
        return self._frames.pop(0)

    def _memory(self) -> int:
        """Return the resident size of the process in bytes, 0 when unknown."""
        if self._process is None:
            return 0
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _last_words(self) -> str:
        """Return the end of what the evaluator printed."""
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log.tell() - _LOG_BYTES, 0))
        said = self._log.read().decode("utf-8", "replace").strip()
        return f"; it printed:\n{said}" if said else ""

    def _where(self, message: str) -> str:
        return f"evaluator {self._problem.evaluator} of {self._problem.id}: {message}"
