"""Virtual time: it passes as this process works, and jumps where the process would wait.

An event loop asks its selector to wait until the next timer is due. Here that wait is skipped: the
clock is put forward instead. What the code between two waits costs is added as it is measured, so a
loop that has too much to do is late by just as much as a real one would be.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock


class VirtualClock:
    """Seconds of a simulation.

    Args:
        work: Tells seconds that the simulated code has used, so far.
        start: The time at which it begins; that of `time.monotonic` unless given.

    Attributes:
        waited_s: Seconds that were skipped because there was nothing to do.
        charged_s: Seconds that were added for work which the simulation leaves out.
    """

    def __init__(
        self, work: Callable[[], float] = time.thread_time, start: float | None = None
    ) -> None:
        self._work = work
        self._outside = 0.0  #: of what `work` tells, seconds that are not the simulated code's
        self._stopped: float | None = None
        self.waited_s = self.charged_s = 0.0
        self._start = (time.monotonic() if start is None else start) - work()

    @property
    def worked_s(self) -> float:
        """Seconds of work of the simulated code since some moment in the past."""
        return (self._work() if self._stopped is None else self._stopped) - self._outside

    def now(self) -> float:
        """Return the time."""
        return self._start + self.worked_s + self.waited_s + self.charged_s

    def charge(self, seconds: float) -> None:
        """Have the simulated code be at work for so long."""
        self.charged_s += seconds

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Do something that the simulated code would not do: no time passes."""
        self._stopped = began = self._work()
        try:
            yield
        finally:
            self._stopped = None
            self._outside += self._work() - began

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Be `time.monotonic` for everybody, event loops included."""
        with mock.patch("time.monotonic", self.now):
            yield

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop that skips its waits; for use while the clock is installed."""
        return asyncio.SelectorEventLoop(_Skipping(self))


class _Skipping(selectors.DefaultSelector):
    """Put the clock forward instead of waiting, where nothing is there to be read."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(0)
        if not found:
            self._clock.waited_s += timeout
        return found
