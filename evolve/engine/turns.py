"""What turns of rotating cases take: at each one, all elites are measured once more.

Part of a forecast, see `evolve.engine.forecast`; what happens at a turn is in ``docs/rotation.md``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

#: Halvings of the interval in which a budget is used up.
_HALVINGS = 60


class Turns(NamedTuple):
    """The turns of one run, as a forecast has drawn them.

    Elites become ``most`` in the end, the more slowly the more there are: after ``n`` evaluations
    there are ``most * (1 - exp(-n * first / most))``.

    Attributes:
        every: Evaluations between two turns.
        most: Elites in the end, of all islands.
        first: New elites of an evaluation, at the beginning.
        seconds: Of a measurement in a slot.
    """

    every: float = math.inf
    most: float = 1.0
    first: float = 1.0
    seconds: float = 0.0

    def measurements(self, evaluations: float) -> float:
        """Return how many measurements of elites so many evaluations have made necessary."""
        if math.isinf(self.every):
            return 0.0
        missing = self.most / self.first * -math.expm1(-evaluations * self.first / self.most)
        return max(0.0, self.most * (evaluations - missing) / self.every)

    def reached(self, without: float, weight: float) -> float:
        """Return after how many evaluations a budget is used up.

        Args:
            without: After how many it would be if cases stayed.
            weight: What one measurement takes of it, as a multiple of what an evaluation takes.
        """
        low, high = 0.0, without
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            enough = middle + weight * self.measurements(middle) >= without
            low, high = (low, middle) if enough else (middle, high)
        return high


NO_TURNS = Turns()
