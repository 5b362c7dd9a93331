"""How many iterations are in flight: enough to keep slots busy, no more, so parents stay fresh."""

from __future__ import annotations

import math
import time

#: Weight of the newest observation in the running means.
ALPHA = 0.2
#: However slow a model is, no more than this many iterations per slot are in flight.
MOST_PER_SLOT = 32


class Width:
    """The bound on iterations in flight, adapted to proposal latency and evaluation time.

    By Little's law, slots stay busy when the proposals under way yield candidates as fast as
    evaluations consume them: ``slots * proposal time / (evaluation time * yield)`` of them, beside
    the evaluations themselves, with one to spare.

    Args:
        slots: Evaluations at once.
        fixed: Proposals in flight beside the evaluations, when the user said so.
        answered: Calls that the models take at once; more proposals would only queue for them.
    """

    def __init__(self, slots: int, fixed: int | None = None, answered: int | None = None) -> None:
        self._slots, self._fixed = slots, fixed
        self._most = slots * MOST_PER_SLOT if answered is None else answered
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
        if self._fixed is not None:
            return self._slots + self._fixed
        proposal_s = self._proposal_s
        if proposal_s is None:
            proposal_s = time.monotonic() - self._asked if self._asked else 0.0
        if self._evaluation_s is None:
            return self._slots + 1
        needed = self._slots * proposal_s / max(self._evaluation_s * self._yield, 1e-4)
        return self._slots + 1 + math.ceil(min(needed, self._most))


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - ALPHA) * old + ALPHA * new
