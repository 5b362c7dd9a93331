"""Judges which number went where. What is printed by the program is all there is of it here."""

import math
from collections.abc import Iterable

import numpy as np

from evolve import Case, Evaluator, Invalid, Score

#: How many numbers each case has.
SIZES = {"search": [50, 70, 100], "held_out": [60, 80, 90]}
SEEDS = {"search": 1, "held_out": 2}


class Split(Evaluator):
    """The difference between the sums of two groups."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield numbers drawn from a fixed seed."""
        rng = np.random.default_rng(SEEDS[stage])
        for size in SIZES[stage]:
            numbers = rng.integers(1, 10**12, size=size).tolist()
            yield Case({"numbers": numbers}, name=f"{size} numbers")

    def score(self, case: Case, output: object, usage: object) -> Score:
        """Add up the groups, in whole numbers."""
        numbers = case.inputs["numbers"]
        if not isinstance(output, list) or len(output) != len(numbers):
            raise Invalid(f"print a list of {len(numbers)} groups, one for each number")
        if not all(type(group) is int and group in (0, 1) for group in output):
            raise Invalid("every group must be 0 or 1")
        difference = abs(sum(n if group else -n for n, group in zip(numbers, output, strict=True)))
        return Score(
            objective=math.log10(1 + difference),
            measures={"share_left": output.count(0) / len(output)},
            feedback=f"the sums differ by {difference}",
        )
