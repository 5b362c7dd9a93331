"""Parts of iterations that are under way, and waiting until something happens to them."""

from __future__ import annotations

from collections.abc import Coroutine

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

#: Seconds between two looks at the clock.
MOMENT_S = 0.5


class Flight:
    """Counts what is in flight.

    Attributes:
        size: How much that is.
    """

    def __init__(self) -> None:
        self.size = 0
        self._changed = anyio.Event()

    def enter(self, tasks: TaskGroup, part: Coroutine[None, None, None]) -> None:
        """Have a part of an iteration in flight until it ends."""

        async def run() -> None:
            await part
            self.size -= 1
            self.stir()

        self.size += 1
        tasks.start_soon(run)

    def stir(self) -> None:
        """Have `wait` return: something has changed."""
        self._changed.set()

    async def wait(self, longest_s: float) -> None:
        """Wait until an iteration ends, or a moment: time itself can be a reason to stop.

        Args:
            longest_s: Seconds after which something else has changed; with 0 what is in flight
                goes on, however much there is to begin.
        """
        if longest_s == 0.0:
            await anyio.lowlevel.checkpoint()
            return
        with anyio.move_on_after(min(MOMENT_S, longest_s)):
            await self._changed.wait()
        self._changed = anyio.Event()
