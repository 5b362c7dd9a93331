"""How much of the time slots were lent while the search was looking for work to give them."""

from __future__ import annotations

from evolve.pool.base import Pool


class Utilisation:
    """The share of its time that each slot was lent, between `begin` and `end`.

    Args:
        pool: The slots.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._began: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        self._shares: tuple[float, ...] | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._began = (self._pool.there_s, self._pool.busy_s)

    def end(self) -> None:
        """Count no further: from here on nothing new is started."""
        self._shares = self.shares

    @property
    def shares(self) -> tuple[float, ...]:
        """One number from 0 to 1 for each slot that was there meanwhile; none before `begin`."""
        if self._shares is not None or self._began is None:
            return self._shares or ()
        pool = self._pool
        there, busy = (
            [now - then for now, then in zip(after, before, strict=True)]
            for after, before in zip((pool.there_s, pool.busy_s), self._began, strict=True)
        )
        return tuple(
            min(lent / seconds, 1.0)
            for seconds, lent in zip(there, busy, strict=True)
            if seconds > 0
        )
