"""How much of the time slots were lent while the search was looking for work to give them."""

from __future__ import annotations

import time

from evolve.pool.base import Pool


class Utilisation:
    """The share of its time that each slot was lent, between `begin` and `end`.

    Args:
        pool: The slots.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._began: tuple[float, tuple[float, ...]] | None = None
        self._shares: tuple[float, ...] | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._began = (time.monotonic(), self._pool.busy_s)

    def end(self) -> None:
        """Count no further: from here on nothing new is started."""
        self._shares = self.shares

    @property
    def shares(self) -> tuple[float, ...]:
        """One number from 0 to 1 per slot; none before `begin`."""
        if self._shares is not None or self._began is None:
            return self._shares or ()
        began, before = self._began
        elapsed = max(time.monotonic() - began, 1e-9)
        return tuple(
            min((now - then) / elapsed, 1.0)
            for now, then in zip(self._pool.busy_s, before, strict=True)
        )
