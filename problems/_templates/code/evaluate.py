"""Compares answers with the truth, which stays here, and takes the time measured from outside."""

import bisect
import math
from collections.abc import Iterable, Sequence

import numpy as np

from evolve import Case, Evaluator, Invalid, Score, Usage

#: Length and largest number of each list. The first one is for warming up.
LISTS = {
    "search": [(400, 10**6), (250, 10**6), (500, 10**6), (1000, 10**6), (2000, 10**6)],
    "held_out": [(300, 10**6), (301, 10), (1500, 10), (3000, 10**6)],
}
SEEDS = {"search": 1, "held_out": 2}


class Inversions(Evaluator):
    """Correct, and quick."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield lists drawn from a fixed seed; the truth is secret and stays here."""
        rng = np.random.default_rng(SEEDS[stage])
        for length, largest in LISTS[stage]:
            values = rng.integers(0, largest, size=length, endpoint=True).tolist()
            yield Case({"values": values}, name=f"{length} numbers", secret=count(values))

    def score(self, case: Case, output: object, usage: Usage) -> Score:
        """Refuse a wrong answer; a right one scores its time."""
        if type(output) is not int or output != case.secret:
            # Not the truth: models read this, and an answer written down takes no time.
            raise Invalid(f"there are not {output!r:.40} inversions")
        microseconds = usage.wall_ns / 1000
        return Score(
            objective=microseconds,
            measures={"growth": 1.0},
            feedback=f"{microseconds:.0f} us",
        )

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Take the geometric mean, so that every length counts alike."""
        together = super().combine(scored)
        points = [
            (math.log(len(case.inputs["values"])), math.log(score.objective))
            for case, score in scored
        ]
        mean = math.fsum(y for _, y in points) / len(points)
        return Score(
            objective=math.exp(mean),
            measures={"growth": slope(points)},
            feedback=together.feedback,
        )


def count(values: Sequence[int]) -> int:
    """Return the number of inversions, by insertion into a sorted list."""
    seen: list[int] = []
    total = 0
    for value in values:
        total += len(seen) - bisect.bisect_right(seen, value)
        bisect.insort(seen, value)
    return total


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line of least squares."""
    center = math.fsum(x for x, _ in points) / len(points)
    spread = math.fsum((x - center) ** 2 for x, _ in points)
    return math.fsum((x - center) * y for x, y in points) / spread if spread else 0.0
