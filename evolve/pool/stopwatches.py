"""Seconds that something has lasted, slot by slot."""

from __future__ import annotations

import time


class Stopwatches:
    """One stopwatch for every slot of a pool.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._since: dict[int, float] = {}
        self._spent = [0.0] * count

    def start(self, index: int) -> None:
        """Let one run on."""
        self._since.setdefault(index, time.monotonic())

    def stop(self, index: int) -> None:
        """Halt one, running or not."""
        since = self._since.pop(index, None)
        if since is not None:
            self._spent[index] += time.monotonic() - since

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._since)

    @property
    def seconds(self) -> tuple[float, ...]:
        """What each shows."""
        now = time.monotonic()
        return tuple(
            spent + (now - self._since[index] if index in self._since else 0.0)
            for index, spent in enumerate(self._spent)
        )
