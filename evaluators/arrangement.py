"""What evaluators of arrangements share: ``n`` things, one case, nothing held out."""

from __future__ import annotations

from collections.abc import Iterable

from evolve import Case, Evaluator
from evolve.core.evaluation import Stage


class Arrangement(Evaluator):
    """Base of evaluators of ``n`` things that a program arranges as well as it can.

    Args:
        n: How many there are.
        least: Fewer make no sense.
        seconds: For problems in mode search: the CPU time that a program is told to take for
            improving on what it is given.
    """

    def __init__(self, n: int, *, least: int = 2, seconds: float | None = None) -> None:
        if n < least:
            raise ValueError(f"n is {n}, must be at least {least}")
        if seconds is not None and seconds <= 0:
            raise ValueError(f"seconds is {seconds}, must be positive")
        self.n, self._seconds = n, seconds

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since an arrangement is its own proof."""
        if stage == "search":
            searched = {"seconds": self._seconds, "start": None} if self._seconds else {}
            yield Case({"n": self.n, **searched})
