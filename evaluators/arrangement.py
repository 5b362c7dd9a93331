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
    """

    def __init__(self, n: int, *, least: int = 2) -> None:
        if n < least:
            raise ValueError(f"n is {n}, must be at least {least}")
        self.n = n

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since an arrangement is its own proof."""
        if stage == "search":
            yield Case({"n": self.n})
