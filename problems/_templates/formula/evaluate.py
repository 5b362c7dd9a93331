"""Judges where a program put its queens. Nothing here runs the program."""

from collections.abc import Iterable
from itertools import pairwise

from evolve import Case, Evaluator, Score
from evolve.evaluate.outputs import numbers

SIZES = {"search": (4, 5, 6, 8, 9, 11, 14, 20), "held_out": (7, 10, 27, 50, 101)}


class Queens(Evaluator):
    """The share of queens that no queen of an earlier row attacks."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield boards; ``size`` is what growth of time is measured against."""
        for n in SIZES[stage]:
            yield Case({"n": n}, name=f"n={n}", size=n)

    def score(self, case: Case, output: object, usage: object) -> Score:
        """Count, from the columns themselves."""
        n = case.inputs["n"]
        columns = numbers(output, count=n, low=0, high=n - 1, whole=True, name="row")
        seen: set[tuple[str, float]] = set()
        safe = 0
        for row, column in enumerate(columns):
            lines = {("column", column), ("down", column - row), ("up", column + row)}
            safe += not lines & seen
            seen |= lines
        moves = [after - before for before, after in pairwise(columns)]
        bends = sum(a != b for a, b in pairwise(moves))
        return Score(
            objective=safe / n,
            measures={"bend": bends / max(len(moves) - 1, 1)},
            feedback=f"{n - safe} of {n} queens are attacked",
        )
