"""The seam to places where programs run: a `Pool` lends slots."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from evolve.sandbox.base import Slot


class Pool(Protocol):
    """All slots of a run. Safe for concurrent use; who finds no slot free waits in line."""

    @property
    def size(self) -> int:
        """How many slots there are now; of some pools, slots come and go."""
        ...

    @property
    def busy(self) -> int:
        """How many of them are lent."""
        ...

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Seconds each slot has been lent so far, the current lease included.

        One number for every slot that there may ever be.
        """
        ...

    @property
    def there_s(self) -> tuple[float, ...]:
        """Seconds each of these slots has been there so far, lent or not."""
        ...

    def lease(self) -> AbstractAsyncContextManager[Slot]:
        """Borrow a slot: whole, alone, and until the context is left.

        Leaving it with an `InfrastructureError` gives the slot back as broken.

        Raises:
            SandboxUnavailable: no slot works any more, and none could be mended for a long time.
        """
        ...

    async def aclose(self) -> None:
        """Release all slots."""
        ...
