"""Events on their way to hooks: a bounded queue and a thread each, so that none holds up a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Thread

from evolve.config.source import redact
from evolve.engine.events import Event, FaultOccurred, Observer, RunFinished
from evolve.engine.hooks.base import Hook, Watched

#: Events that wait for a hook at most; more are dropped and counted.
CAPACITY = 10_000
#: Events in a row that a hook may fail on before it is given up.
GIVE_UP = 20
#: Seconds that hooks together may take for what is left once a run has finished.
DRAIN_S = 30.0


class Delivery:
    """The way of events to one hook. Every event offered is delivered, or counted as dropped.

    Args:
        name: How messages call the hook.
        hook: Called in a thread of its own.
        capacity: Events that may wait.
    """

    def __init__(self, name: str, hook: Hook, capacity: int = CAPACITY) -> None:
        self.name, self._hook, self._capacity = name, hook, capacity
        self.offered = self.delivered = 0
        self._waiting: SimpleQueue[tuple[Event, float] | None] = SimpleQueue()
        self._troubles: SimpleQueue[str] = SimpleQueue()
        self._troubled = self._given_up = False
        self._thread: Thread | None = None

    def begin(self, watched: Watched) -> None:
        """Start, unless that was done; what was offered before is delivered first."""
        if self._thread is not None:
            return
        self._thread = Thread(
            target=self._work, args=(watched,), name=f"hook {self.name}", daemon=True
        )
        self._thread.start()

    def offer(self, event: Event, at: float) -> None:
        """Hand an event over if there is room; never wait."""
        self.offered += 1
        if not self._given_up and self._waiting.qsize() < self._capacity:
            self._waiting.put((event, at))

    def close(self, timeout: float) -> int:
        """Deliver what waits, for so many seconds at most.

        Returns:
            How many events were not delivered, all in all.
        """
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(max(timeout, 0.0))
            if self._thread.is_alive():
                self._trouble(f"it had not taken in everything {DRAIN_S:g} s after the run")
        return self.offered - self.delivered

    def trouble(self) -> str:
        """Return what went wrong first, once; nothing when all is well."""
        return "" if self._troubles.empty() else self._troubles.get()

    def _work(self, watched: Watched) -> None:
        if not self._try(partial(self._hook.begin, watched)):
            self._given_up = True
            return
        in_a_row = 0
        while (waited := self._waiting.get()) is not None:
            event, at = waited
            if self._try(partial(self._hook.handle, event, at)):
                self.delivered += 1
                in_a_row = 0
                continue
            in_a_row += 1
            if in_a_row == GIVE_UP:
                self._given_up = True
                break
        self._try(self._hook.end)

    def _try(self, call: Callable[[], None]) -> bool:
        """Call into the hook; whatever it raises is its own trouble."""
        try:
            call()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - other people's code
            self._trouble(f"{type(error).__name__}: {error}")
            return False
        return True

    def _trouble(self, message: str) -> None:
        if not self._troubled:
            self._troubled = True
            self._troubles.put(redact(message))


class Announcer:
    """Tells observers of events, in the thread of the run, and hooks, in theirs.

    A hook in trouble is reported once, as a `FaultOccurred`, and once more at the end if it
    missed anything.
    """

    def __init__(self, observers: Sequence[Observer], deliveries: Sequence[Delivery]) -> None:
        self._observers, self._deliveries = observers, deliveries
        self._closed = False

    def begin(self, watched: Callable[[], Watched]) -> None:
        """Start the hooks, if there are any."""
        if self._deliveries:
            run = watched()
            for delivery in self._deliveries:
                delivery.begin(run)

    def __call__(self, event: Event) -> None:
        """Tell everybody; the end of a run waits for the hooks to take in what is left."""
        now = time.time()
        for delivery in self._deliveries:
            delivery.offer(event, now)
        missed = self.close() if isinstance(event, RunFinished) else []
        troubles = [(each.name, each.trouble()) for each in self._deliveries]
        for name, message in (*troubles, *missed):
            if message:
                self._tell(FaultOccurred(f"hook {name}", message))
        self._tell(event)

    def close(self) -> list[tuple[str, str]]:
        """Let hooks take in what is left; return what each of them has missed."""
        if self._closed:
            return []
        self._closed = True
        deadline = time.monotonic() + DRAIN_S
        dropped = [each.close(deadline - time.monotonic()) for each in self._deliveries]
        return [
            (each.name, f"{count} of {each.offered} events were not delivered")
            for each, count in zip(self._deliveries, dropped, strict=True)
            if count
        ]

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer(event)


@contextmanager
def announcing(
    observers: Sequence[Observer], hooks: Sequence[tuple[str, Hook]]
) -> Iterator[Announcer]:
    """Yield what tells observers and hooks; hooks are closed in the end, whatever happens."""
    announcer = Announcer(observers, [Delivery(name, hook) for name, hook in hooks])
    try:
        yield announcer
    finally:
        announcer.close()
