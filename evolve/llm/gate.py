"""How many calls a model gets at once, and none for as long as it does not answer.

The limit is halved when the server says that there are too many requests, and grows back by one
with every round of replies (additive increase, multiplicative decrease: Chiu and Jain, 1989).
After a few failures in a row the gate opens like a circuit breaker: nothing is sent but one probe,
at growing intervals, until the model answers again or has been out for too long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice

import anyio

from evolve.core.errors import CallRefused, InfrastructureError, ModelUnavailable

#: Failures in a row, the SDK's own retries not counted, after which only probes are sent.
FAILURES = 5
#: Refusals in a row, by a server that used to answer, that end it.
REFUSALS = 3
#: Seconds until the first probe; each later one waits twice as long, up to the last number.
FIRST_PROBE_S, LAST_PROBE_S = 1.0, 60.0
#: One 429 seldom comes alone: calls of one burst count once. Seconds.
BURST_S = 1.0


class Gate:
    """The way to one model. Safe for concurrent use within one event loop.

    Args:
        name: The model's id, for messages.
        most: Calls at once when all is well.
        outage_s: Seconds without an answer after which the model is given up.
        tell: Told when the model is out, back, or held back.

    Attributes:
        limit: Calls at once for now, between 1 and ``most``.
        others: Whether another model could be asked instead; then no call waits here for a
            model that is out.
        spread: Told of every burst of refusals for too many requests, with the pause in seconds
            that the server asks for: other processes that call the same model may listen.
    """

    def __init__(
        self,
        name: str,
        most: int,
        outage_s: float,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self.limit = name, float(most)
        self.others: Callable[[], bool] = lambda: False
        self.spread: Callable[[float], None] = lambda _: None
        self._most, self._outage_s, self._tell = most, outage_s, tell
        self._in_flight = 0
        self._resume_at = self._burst_ends = float("-inf")
        self._failed = 0
        self._last = ""
        self._out_since: float | None = None
        self._pause_s = FIRST_PROBE_S
        self._probe_at = 0.0
        self._probing = False
        self._dead = ""
        self._waiting: dict[object, anyio.Event] = {}  #: oldest first

    @property
    def out(self) -> bool:
        """Whether the model does not answer at present."""
        return bool(self._dead) or self._out_since is not None

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Hold one of the places while a call is made inside the context; its outcome counts.

        Raises:
            ModelUnavailable: the model has not answered for too long.
            InfrastructureError: the call failed; or the model is out and another one is not.
        """
        probe = await self._enter()
        self._in_flight += 1
        self._probing |= probe
        try:
            yield
        except InfrastructureError as error:
            self._note_failure(error, probe=probe)
            if self._dead and not self.others():
                raise ModelUnavailable(self._dead) from error
            raise
        else:
            self._note_success()
        finally:
            self._in_flight -= 1
            self._probing &= not probe
            self._wake(everybody=probe or self.out)

    def rate_limited(self, pause_s: float) -> None:
        """Halve the limit and hold new calls back for ``pause_s`` seconds."""
        if self.hold_back(pause_s):
            self.spread(pause_s)

    def hold_back(self, pause_s: float, late_s: float = 0.0) -> bool:
        """Do as `rate_limited` does, for calls of another process, and tell no other.

        Args:
            pause_s: Seconds in which no new call leaves.
            late_s: How long ago that may have been: refusals since then are of the same burst.

        Returns:
            Whether it was the first of a burst.
        """
        now = anyio.current_time()
        self._resume_at = max(self._resume_at, now + min(pause_s, LAST_PROBE_S))
        if now < self._burst_ends + late_s:
            return False
        self._burst_ends = now + max(BURST_S, pause_s)
        before, self.limit = int(self.limit), max(self.limit / 2, 1.0)
        if self.limit < before:
            self._tell(f"{self.name}: too many requests; {int(self.limit)} at once from now on")
        return True

    async def _enter(self) -> bool:
        """Wait for a place; return whether the call is the probe of a model that is out."""
        ticket = object()
        try:
            while (wait := self._wait_s()) > 0:
                self._waiting[ticket] = turn = anyio.Event()
                with anyio.move_on_after(max(wait, 0.01)):
                    await turn.wait()
        except BaseException:
            self._waiting.pop(ticket, None)
            self._wake()  # it may have been this one's turn
            raise
        self._waiting.pop(ticket, None)
        return self._out_since is not None

    def _wait_s(self) -> float:
        """Return how long a call has to wait unless something changes; 0 or less if it may go.

        Raises:
            ModelUnavailable: the model is given up.
            InfrastructureError: it is, or is out, and another one is not.
        """
        if self._dead:
            raise (InfrastructureError if self.others() else ModelUnavailable)(self._dead)
        now = anyio.current_time()
        if self._out_since is not None:
            wait = LAST_PROBE_S if self._probing else self._probe_at - now
            if wait > 0 and self.others():
                raise InfrastructureError(f"{self.name} does not answer: {self._last}")
            return wait
        return self._resume_at - now if self._in_flight < int(self.limit) else LAST_PROBE_S

    def _note_success(self) -> None:
        self.limit = min(self.limit + 1 / self.limit, float(self._most))
        self._failed = 0
        if self._out_since is not None:
            self._out_since, self._pause_s = None, FIRST_PROBE_S
            self._tell(f"{self.name}: answers again")

    def _note_failure(self, error: InfrastructureError, *, probe: bool) -> None:
        now = anyio.current_time()
        self._failed += 1
        self._last = str(error)
        if isinstance(error, CallRefused) and self._failed >= REFUSALS:
            self._dead = f"{self._failed} calls in a row were refused: {error}"
        elif probe:
            self._pause_s = min(2 * self._pause_s, LAST_PROBE_S)
            self._probe_at = now + self._pause_s
            assert self._out_since is not None  # only then is there a probe
            gone = now - self._out_since
            if gone >= self._outage_s and not self.others():
                self._dead = f"{self._failed} calls in a row failed, for {gone:.0f} s: {error}"
        elif self._failed >= FAILURES and self._out_since is None:
            self._out_since, self._probe_at = now, now + self._pause_s
            self._tell(f"{self.name}: {self._failed} calls in a row failed, trying on: {error}")

    def _wake(self, *, everybody: bool = False) -> None:
        """Have those who wait look again: the first ones, as many as there are places."""
        places = len(self._waiting) if everybody else max(int(self.limit) - self._in_flight, 0)
        for turn in islice(self._waiting.values(), places):
            turn.set()
