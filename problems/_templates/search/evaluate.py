"""Judges where a program moved points to. Nothing here runs the program."""

import itertools
import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from evolve import Case, Evaluator, Invalid, Score


class FarApart(Evaluator):
    """The smallest distance between two of ``n`` points in the unit square.

    Programs are told to search for so many seconds from the best points so far.
    """

    def __init__(self, n: int = 10, seconds: float = 1.0) -> None:
        self._n, self._seconds = n, seconds

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield the one case; a construction is the whole problem, so none is held out."""
        if stage == "search":
            yield Case({"n": self._n, "seconds": self._seconds, "start": None})

    def score(self, case: Case, output: object, usage: object) -> Score:
        """Compute the distance from the points themselves, exactly, whatever the program claims."""
        given = self._points(output)
        points = [(Fraction(x), Fraction(y)) for x, y in given]
        squared = [
            (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 for a, b in itertools.combinations(points, 2)
        ]
        shortest = min(squared)
        if shortest == 0:
            raise Invalid("two points are the same")
        near = sum(each <= shortest * Fraction(10201, 10000) for each in squared)
        edge = sum(bool({*point} & {Fraction(0), Fraction(1)}) for point in points)
        return Score(
            objective=math.sqrt(shortest),
            measures={"on_boundary": edge / self._n},
            feedback=f"{near} of {len(squared)} pairs are within 1 % of the smallest distance",
            construction=given,  # what later programs are given as `start`: checked, not believed
        )

    def _points(self, output: object) -> list[tuple[float, float]]:
        """Refuse everything but n pairs of finite numbers inside the square."""
        if isinstance(output, np.ndarray):
            output = output.tolist()
        if not isinstance(output, list) or len(output) != self._n:
            raise Invalid(f"improve must return a list of {self._n} points")
        for index, point in enumerate(output):
            if not isinstance(point, list) or len(point) != 2:
                raise Invalid(f"point {index} must be a pair [x, y]")
            for value in point:
                if type(value) not in (int, float) or not 0 <= value <= 1:
                    raise Invalid(f"point {index}: the coordinate {value!r:.40} is not from 0 to 1")
        return output
