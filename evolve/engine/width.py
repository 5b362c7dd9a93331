"""How many iterations are in flight: enough to keep slots busy, no more, so parents stay fresh."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: Weight of the newest observation in the running means.
ALPHA = 0.2
#: However slow a model is, no more than this many iterations per slot are in flight.
MOST_PER_SLOT = 32
#: Seconds between two looks at how far the limit has grown, at least.
LEAST_WAIT_S = 0.001


class Width:
    """The bound on iterations in flight, adapted to proposal latency and evaluation time.

    By Little's law, slots stay busy when the proposals under way yield candidates as fast as
    evaluations consume them: ``slots * proposal time / (evaluation time * yield)`` of them, beside
    the evaluations themselves, with one to spare.

    Args:
        slots: Evaluations at once; may change.
        fixed: Proposals in flight beside the evaluations, when the user said so.
        answered: Calls that the models take at once; more proposals would only queue for them.
    """

    def __init__(
        self,
        slots: int | Callable[[], int],
        fixed: int | None = None,
        answered: int | None = None,
    ) -> None:
        self._count = slots if callable(slots) else lambda: slots
        self._fixed, self._answered = fixed, answered
        self._asked: float | None = None
        self._proposal_s: float | None = None
        self._evaluation_s: float | None = None
        self._yield = 1.0

    def asked(self) -> None:
        """Note that a proposal is being made: until one is, its age tells how slow they are."""
        self._asked = self._asked or time.monotonic()

    def proposed(self, seconds: float, *, fruitful: bool) -> None:
        """Note how long a proposal took and whether a candidate came of it."""
        self._proposal_s = _mean(self._proposal_s, seconds)
        self._yield = _mean(self._yield, 1.0 if fruitful else 0.0)

    def evaluated(self, seconds: float) -> None:
        """Note how long an evaluation took, in a slot."""
        self._evaluation_s = _mean(self._evaluation_s, seconds)

    @property
    def evaluation_s(self) -> float | None:
        """Seconds of an evaluation in a slot, a running mean; None before the first."""
        return self._evaluation_s

    @property
    def limit(self) -> int:
        """Iterations that may be in flight now."""
        slots = self._slots
        if self._fixed is not None:
            return slots + self._fixed
        if self._evaluation_s is None:
            return slots + 1
        needed = self._latency_s / self._pace_s
        return slots + 1 + math.ceil(min(needed, self._most))

    @property
    def grows_in_s(self) -> float:
        """Seconds until `limit` grows by itself: before the first reply it does, else never.

        Then replies come as evenly as evaluations take them, and not all at once.
        """
        first_reply = self._proposal_s is None and self._asked is not None
        if self._fixed is not None or self._evaluation_s is None or not first_reply:
            return math.inf
        needed = self._latency_s / self._pace_s
        if math.ceil(needed) >= self._most:
            return math.inf
        return max((math.ceil(needed) - needed) * self._pace_s, LEAST_WAIT_S)

    @property
    def _slots(self) -> int:
        """Slots there are; while there is none, the next one is prepared for."""
        return max(self._count(), 1)

    @property
    def _most(self) -> int:
        return self._slots * MOST_PER_SLOT if self._answered is None else self._answered

    @property
    def _latency_s(self) -> float:
        """Seconds of a proposal, or the age of the first one."""
        if self._proposal_s is not None:
            return self._proposal_s
        return time.monotonic() - self._asked if self._asked else 0.0

    @property
    def _pace_s(self) -> float:
        """Seconds between two proposals that slots can take."""
        return max((self._evaluation_s or 0.0) * self._yield, 1e-4) / self._slots


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - ALPHA) * old + ALPHA * new
