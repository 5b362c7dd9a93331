"""The pool of one machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import anyio

from evolve.core.errors import EvolveError, InfrastructureError, SandboxUnavailable
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool.allot import Allotment
from evolve.pool.stopwatches import Stopwatches
from evolve.pool.watched import open_watched
from evolve.sandbox.base import Sandbox, Slot

#: Seconds between two tries to mend a slot: the first, doubled each time up to the last.
RETRY_S = (0.5, 30.0)
#: Seconds without a single slot that works after which nobody waits any longer.
GIVE_UP_S = 300.0


class LocalPool:
    """Slots of one sandbox on this machine, opened by entering the pool's context.

    Free slots lie in a memory stream, first in, first out: taking one waits when there is none. A
    slot that comes back broken is closed and opened anew aside, again and again until it works;
    meanwhile the others go on.

    Args:
        sandbox: Opens the slots.
        size: How many; at least 1.
        limits: What every slot must be fit for.
        allotment: CPUs and devices of each slot; default: none in particular.
        report: Told what keeps a slot from being mended.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        size: int,
        limits: Limits,
        *,
        allotment: Allotment | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} slots")
        self.size = size
        self._sandbox, self._limits, self._report = sandbox, limits, report
        self._allotment = allotment or Allotment((Resources(),) * size)
        self._guards = [self._allotment.guard(index) for index in range(size)]
        self._slots: dict[int, Slot] = {}
        self._lent, self._there = Stopwatches(size), Stopwatches(size)
        self._trouble, self._none_since = "", 0.0

    @property
    def busy(self) -> int:
        """How many slots are lent."""
        return self._lent.running

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Seconds each slot has been lent so far, the current lease included."""
        return self._lent.seconds

    @property
    def there_s(self) -> tuple[float, ...]:
        """Seconds the pool has been open: a slot that is being mended is an idle one."""
        return self._there.seconds

    async def __aenter__(self) -> Self:
        """Open all slots at once.

        Raises:
            SandboxUnavailable: the isolation cannot be had on this machine.
        """
        self._put, self._take = anyio.create_memory_object_stream[int](self.size)
        self._menders = anyio.create_task_group()
        try:
            async with anyio.create_task_group() as group:
                for index in range(self.size):
                    group.start_soon(self._open, index)
        except BaseException as error:
            await self._close_slots()
            if isinstance(error, BaseExceptionGroup) and isinstance(error.exceptions[0], Exception):
                raise error.exceptions[0] from None  # one slot's trouble is that of all
            raise
        await self._menders.__aenter__()
        for index in range(self.size):
            self._there.start(index)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
        # Without the error: a task group would wrap it, and it is none of the menders'.
        await self._menders.__aexit__(None, None, None)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Slot]:
        """Borrow a slot; wait for one when all are lent.

        Raises:
            SandboxUnavailable: no slot has worked for `GIVE_UP_S`.
        """
        try:
            index = await self._take.receive()
        except anyio.EndOfStream:
            raise SandboxUnavailable(
                f"no slot has worked for {GIVE_UP_S:g} s; the last trouble was: "
                f"{self._trouble}\nNothing is lost: mend the cause (`evolve doctor` may name "
                "it) and run again to resume."
            ) from None
        slot, back = self._slots[index], self._give_back
        try:
            async with self._allotment.turn():
                self._lent.start(index)
                yield slot
        except InfrastructureError:
            back = self._give_back_broken
            raise
        finally:
            self._lent.stop(index)
            back(index)

    async def aclose(self) -> None:
        """Release all slots, lent or not."""
        self._menders.cancel_scope.cancel()
        await self._close_slots()

    async def _close_slots(self) -> None:
        slots, self._slots = list(self._slots.values()), {}
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for slot in slots:
                    group.start_soon(slot.aclose)
        self._put.close()
        self._take.close()

    async def _open(self, index: int) -> None:
        allotment = self._allotment
        self._slots[index] = await open_watched(
            self._sandbox,
            index,
            self._limits,
            allotment.resources[index],
            self._guards[index],
            timed=allotment.timed,
        )
        self._give_back(index)

    def _give_back(self, index: int) -> None:
        with suppress(anyio.ClosedResourceError):  # the pool was closed meanwhile
            self._put.send_nowait(index)

    def _give_back_broken(self, index: int) -> None:
        slot = self._slots.pop(index, None)
        if slot is not None:
            self._none_since = time.monotonic()
            self._menders.start_soon(self._mend, index, slot)

    async def _mend(self, index: int, slot: Slot) -> None:
        """Replace a broken slot, however long it takes; give up when nothing works any more."""
        wait, longest = RETRY_S
        with anyio.CancelScope(shield=True):
            await slot.aclose()
        while True:
            try:
                await self._open(index)
            except EvolveError as error:
                self._trouble = str(error)
                self._report(f"slot {index} cannot be reopened, next try in {wait:g} s: {error}")
            else:
                return
            if not self._slots and time.monotonic() - self._none_since > GIVE_UP_S:
                self._put.close()
                return
            await anyio.sleep(wait)
            wait = min(2 * wait, longest)
