"""The pool of one machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import anyio

from evolve.core.errors import PrerequisiteError
from evolve.core.limits import Limits
from evolve.sandbox.base import Sandbox, Slot


class LocalPool:
    """Slots of one sandbox on this machine, opened by entering the pool's context.

    Free slots lie in a memory stream, first in, first out: taking one waits when there is none.

    Args:
        sandbox: Opens the slots.
        size: How many; at least 1.
        limits: What every slot must be fit for.
    """

    def __init__(self, sandbox: Sandbox, size: int, limits: Limits) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} slots")
        self.size = size
        self._sandbox, self._limits = sandbox, limits
        self.busy = 0  #: how many slots are lent
        self._slots: list[Slot] = []

    async def __aenter__(self) -> Self:
        """Open all slots at once.

        Raises:
            SandboxUnavailable: the isolation cannot be had on this machine.
            PrerequisiteError: the limits ask for devices.
        """
        if self._limits.gpus:
            raise PrerequisiteError(
                f"`limits: {{gpus: {self._limits.gpus}}}`: this pool has no devices to lend; "
                "set `gpus: 0` in problem.yaml to run on CPUs"
            )
        self._put, self._take = anyio.create_memory_object_stream[Slot](self.size)
        try:
            async with anyio.create_task_group() as group:
                for index in range(self.size):
                    group.start_soon(self._open, index)
        except BaseException as error:
            await self.aclose()
            if isinstance(error, BaseExceptionGroup) and isinstance(error.exceptions[0], Exception):
                raise error.exceptions[0] from None  # one slot's trouble is that of all
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Slot]:
        """Borrow a slot; wait for one when all are lent."""
        slot = await self._take.receive()
        self.busy += 1
        try:
            yield slot
        finally:
            self.busy -= 1
            with suppress(anyio.ClosedResourceError):  # the pool was closed meanwhile
                self._put.send_nowait(slot)

    async def aclose(self) -> None:
        """Release all slots, lent or not."""
        slots, self._slots = self._slots, []
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for slot in slots:
                    group.start_soon(slot.aclose)
        self._put.close()
        self._take.close()

    async def _open(self, index: int) -> None:
        slot = await self._sandbox.open_slot(index, self._limits)
        self._slots.append(slot)
        self._put.send_nowait(slot)
