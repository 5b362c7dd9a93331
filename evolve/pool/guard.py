"""A slot's devices, looked at before, while and after a program runs on them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread

from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome, Usage
from evolve.core.resources import Device
from evolve.core.values import Value
from evolve.pool.devices import Devices, DeviceState
from evolve.sandbox.base import Job, Reply, Report, Session, Slot

#: Seconds a driver may take to give back what a killed program had.
SETTLE_S = 10.0
#: Seconds between two looks at the memory of a device a program runs on.
LOOK_S = 0.1
#: Memory a device may hold more than in the beginning without anybody being on it.
SLACK_BYTES = 256 << 20


class DeviceGuard:
    """What is expected of the devices of one slot.

    Args:
        gpus: The devices.
        devices: Where to look.
        alone: Whether no other slot has them. Only then is it known whose memory and processes
            are on them.
    """

    def __init__(self, gpus: Sequence[Device], devices: Devices, *, alone: bool) -> None:
        self._gpus, self._devices, self.alone = gpus, devices, alone
        self._found: dict[str, DeviceState] = {}

    async def states(self) -> dict[str, DeviceState]:
        """Look at all devices.

        Raises:
            InfrastructureError: one does not answer.
        """
        return {gpu.id: await self._state(gpu.id) for gpu in self._gpus}

    async def _state(self, device_id: str) -> DeviceState:
        return await anyio.to_thread.run_sync(self._devices.state, device_id)

    async def begin(self) -> None:
        """Remember what is on the devices before any program of ours: other users, if anybody."""
        self._found = self._found or await self.states()

    async def expect_clean(self) -> None:
        """Wait until nothing of an earlier program is left on the devices.

        Raises:
            InfrastructureError: something stays, or a device does not answer.
        """
        wait, deadline = 0.01, time.monotonic() + SETTLE_S
        while left := self._left(await self.states()):
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"{left} {SETTLE_S:g} s after the last program of this slot was killed"
                )
            await anyio.sleep(wait)
            wait = min(2 * wait, 0.5)

    def _left(self, states: Mapping[str, DeviceState]) -> str:
        """Say what is on the devices that was not there in the beginning."""
        if not self.alone:
            return ""
        for device_id, state in states.items():
            found = self._found[device_id]
            if strangers := state.processes - found.processes:
                pids = ", ".join(map(str, sorted(strangers)))
                return f"processes {pids} are on {device_id}"
            grown = state.used_bytes - found.used_bytes
            if grown > SLACK_BYTES and not found.processes:
                return f"{grown >> 20} MiB of memory are in use on {device_id}"
        return ""

    async def wait_until_over(self, cap_bytes: int) -> int:
        """Return how much memory is used as soon as it is more than ``cap_bytes``."""
        while True:
            for device_id, state in (await self.states()).items():
                used = state.used_bytes - self._found[device_id].used_bytes
                if used > cap_bytes:
                    return used
            await anyio.sleep(LOOK_S)


class GuardedSlot:
    """A `evolve.sandbox.base.Slot` with devices.

    A program that passes its limit of device memory is out of memory. A device that does not
    answer, or still holds what an earlier program left, is an infrastructure fault, whatever the
    program said: the slot is then rebuilt.
    """

    def __init__(self, slot: Slot, guard: DeviceGuard) -> None:
        self._slot, self._guard = slot, guard

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """Load ``job`` once the devices are clean.

        Raises:
            InfrastructureError: they are not, or do not answer, before or afterwards.
        """
        return self._session(job)

    @asynccontextmanager
    async def _session(self, job: Job) -> AsyncIterator[Session]:
        await self._guard.expect_clean()
        async with self._slot.session(job) as session:
            cap = job.limits.gpu_memory_mb
            yield session if cap is None else _CappedSession(session, self._guard, cap)
        await self._guard.states()

    async def aclose(self) -> None:
        """Release the slot."""
        await self._slot.aclose()


class _CappedSession:
    """A session that ends when its program takes more device memory than it may."""

    def __init__(self, session: Session, guard: DeviceGuard, cap_mb: int) -> None:
        self._session, self._guard, self._cap_mb = session, guard, cap_mb
        self._over: Reply | None = None

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        return await self._watched(partial(self._session.call, inputs, function=function))

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        return await self._watched(partial(self._session.forward, inputs, function=function))

    async def _watched(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """Return the answer, or that the program has taken too much, whichever comes first."""
        if self._over is not None:
            return self._over
        started = time.monotonic_ns()
        results: list[Reply | Exception] = []

        async def answer() -> None:
            try:
                results.append(await ask())
            except Exception as error:  # noqa: BLE001 - for the caller, not for a task group
                results.append(error)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            try:
                used = await self._guard.wait_until_over(self._cap_mb << 20)
                message = (
                    f"used {used >> 20} MiB of GPU memory; {self._cap_mb} MiB are allowed "
                    "(limits.gpu_memory_mb)"
                )
                self._over = Reply(
                    Outcome.OUT_OF_MEMORY,
                    message=message,
                    usage=Usage(wall_ns=time.monotonic_ns() - started),
                )
                results.append(self._over)
            except InfrastructureError as error:
                results.append(error)
            group.cancel_scope.cancel()
        if isinstance(results[0], Reply):
            return results[0]
        raise results[0]

    @property
    def report(self) -> Report:
        return self._session.report
