"""A slot on a resident runner: what `process` and `docker` have in common.

A slot outlives its runner. When the runner dies, hangs, sends anything that is not the protocol,
or could not clean up after a program, it is stopped with everything below it, and the next session
starts on a new one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio
from anyio.abc import ByteStream

from evolve.core.errors import InfrastructureError, SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.resources import Device
from evolve.sandbox.base import Job
from evolve.sandbox.session import LOST, Greeting, Link, RunnerSession

_PROOF = Job(Program({"proof.py": "def proof():\n    return 1\n"}), "proof", Limits(wall_s=30.0))
_HELLO_S = 30.0
_STOP_S = 30.0
_CLOSE_S = 30.0  #: for killing, wiping and reporting
_SAID = 1000  #: characters of a failed start's last words that are shown


class Host(Protocol):
    """Where a runner lives: a process, a container."""

    #: Sessions after which a runner is replaced by a fresh one.
    recycle_after: int

    async def start(self) -> ByteStream:
        """Start a runner and return the connection to it.

        Raises:
            SandboxUnavailable: it cannot be started here.
        """
        ...

    async def stop(self) -> None:
        """Kill the runner and everything below it; do nothing when there is none."""
        ...

    async def post_mortem(self) -> Outcome:
        """Return why the runner is gone: the program's doing, or `Outcome.INFRASTRUCTURE`."""
        ...

    async def aclose(self) -> None:
        """Stop, and remove what the host keeps on this machine."""
        ...


class RunnerSlot:
    """A `evolve.sandbox.base.Slot` on a resident runner.

    Args:
        host: Where the runner lives.
        gpus: The devices that programs are to see, no more and no fewer.
    """

    def __init__(self, host: Host, gpus: Sequence[Device] = ()) -> None:
        self._host, self._gpus = host, gpus
        self._link: Link | None = None
        self._libraries: frozenset[str] = frozenset()  #: what programs have imported so far

    async def open(self) -> Greeting:
        """Start the runner and prove that it runs programs; close the slot when it does not.

        Raises:
            SandboxUnavailable: it does not.
        """
        try:
            greeting = await self._start()
            await self._prove()
        except BaseException:
            await self.aclose()
            raise
        return greeting

    async def _prove(self) -> None:
        try:
            async with self.session(_PROOF) as session:
                reply = await session.call({})
        except InfrastructureError as error:
            raise SandboxUnavailable(f"the runner does not run programs: {error}") from error
        if reply.value != 1:
            said = session.report.stderr[-_SAID:].strip()
            raise SandboxUnavailable(f"a program that returns 1 ended in {reply}: {said}")

    async def _start(self) -> Greeting:
        try:
            stream = await self._host.start()
            link = self._link = Link(stream)
            with anyio.fail_after(_HELLO_S):
                greeting = await link.greeting()
                self._check_gpus(greeting)
                await link.prepare(self._libraries)
        except (TimeoutError, *LOST) as error:
            await self._drop()
            raise SandboxUnavailable(f"the runner did not start: {error!r}") from error
        except BaseException:
            await self._drop()
            raise
        return greeting

    def _check_gpus(self, greeting: Greeting) -> None:
        """Compare what a runner sees with what was lent to it."""
        lent = {gpu.id.partition("-")[2].lower() for gpu in self._gpus}
        if greeting.gpus == lent:
            return
        seen = ", ".join(sorted(greeting.gpus)) or greeting.trouble or "none"
        raise SandboxUnavailable(
            f"programs would not see the GPUs lent to them ({', '.join(sorted(lent)) or 'none'}) "
            f"but: {seen}. Look at `nvidia-smi -L`; the sandbox needs the driver's libcuda.so.1"
        )

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[RunnerSession]:
        """Load ``job`` with its first call; on leaving, kill and wipe, whatever happened.

        Raises:
            InfrastructureError: no runner can be had any more.
        """
        link = await self._ready()
        session = RunnerSession(link, job, self._host.post_mortem)
        try:
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                await self._close(session)
        if self._host.recycle_after == 1:  # the next program finds a runner waiting
            with suppress(InfrastructureError):
                await self._ready()

    async def aclose(self) -> None:
        """Stop the runner and remove what it needed."""
        with anyio.CancelScope(shield=True):
            await self._drop()
            await self._host.aclose()

    async def _ready(self) -> Link:
        if self._link is not None and self._link.sessions >= self._host.recycle_after:
            with anyio.CancelScope(shield=True):
                await self._drop()
        if self._link is None:
            try:
                await self._start()
            except SandboxUnavailable as error:
                raise InfrastructureError(
                    f"the slot's runner cannot be replaced: {error}"
                ) from error
        assert self._link is not None
        return self._link

    async def _close(self, session: RunnerSession) -> None:
        """Have the runner clean up; drop it when it does not answer or is not clean."""
        try:
            with anyio.fail_after(_CLOSE_S):
                clean = await session.close()
        except (TimeoutError, *LOST):
            clean = False
        if not clean:
            await self._drop()

    async def _drop(self) -> None:
        """Let go of the runner: a shielded end that cannot hang."""
        link, self._link = self._link, None
        self._libraries |= link.libraries if link else frozenset()
        with anyio.move_on_after(_STOP_S, shield=True):
            if link is not None:
                await link.aclose()
            await self._host.stop()
