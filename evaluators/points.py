"""Configurations of points: far apart, or without small triangles; judged in exact arithmetic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np

from arrangement import Arrangement
from evolve import Case, Invalid, Score, Usage
from evolve.core.values import Value
from evolve.evaluate.outputs import root, rounded_down, rounded_up, rows

#: Whole numbers: coordinates times a common factor.
Point: TypeAlias = tuple[int, ...]

#: Coordinates are at most this large; only their proportions count, except in a given triangle.
LARGEST: Final = 1e6
#: No distance is this many times another one.
FARTHEST: Final = 10**9
#: Distances and areas this close to the smallest, relatively, count as being there.
NEAR: Final = Fraction(1, 100)
#: Square root of 3, from below and above.
ROOT3_LOW: Final = root(Fraction(3), bits=256)
ROOT3_HIGH: Final = ROOT3_LOW + Fraction(1, 2**256)


class MaxMinDistance(Arrangement):
    """Minimise (largest distance / smallest distance)^2 among ``n`` points in a space.

    Doubles are taken as the exact rationals they are; the ratio is computed without error and
    rounded up.

    Args:
        n: Number of points, at least 2.
        dimension: 2 or 3.
        seconds: As in `Arrangement`; later programs begin with the points as they were returned.
    """

    def __init__(self, n: int = 16, dimension: int = 2, *, seconds: float | None = None) -> None:
        super().__init__(n, seconds=seconds)
        if dimension not in {2, 3}:
            raise ValueError(f"dimension is {dimension}, must be 2 or 3")
        self._dimension = dimension

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the ratio."""
        points, unit = _points(output, self.n, "xyz"[: self._dimension])
        pairs = {
            (i, j): sum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True))
            for i, j in itertools.combinations(range(self.n), 2)
        }
        closest, farthest = min(pairs, key=pairs.__getitem__), max(pairs, key=pairs.__getitem__)
        if pairs[closest] * FARTHEST**2 <= pairs[farthest]:  # also when all are 0
            how = "nearly coincide" if pairs[closest] else "coincide"
            raise Invalid(f"points {closest[0]} and {closest[1]} {how}")
        short = sum(square <= pairs[closest] * (1 + NEAR) ** 2 for square in pairs.values())
        ratio = Fraction(pairs[farthest], pairs[closest])
        return Score(
            objective=rounded_up(ratio),
            measures={"short_pairs": float(short), "radial_spread": _radial_spread(points)},
            feedback=f"Squared ratio {float(ratio):.10f}: points {closest[0]} and {closest[1]} are "
            f"closest, {farthest[0]} and {farthest[1]} farthest apart; {short} pairs are within "
            f"{float(NEAR):.0%} of the smallest distance.",
            construction=[[value / unit for value in point] for point in points],
        )


class Heilbronn(Arrangement):
    """Maximise the smallest triangle among ``n`` points, over the area they may cover.

    Args:
        n: Number of points, at least 4.
        container: ``triangle``: the equilateral one with corners (0, 0), (1, 0) and
            (1/2, sqrt(3)/2). ``convex``: any convex region of the points' own choice, which is
            their convex hull.

    Areas are exact. Points outside the triangle are not refused: all points are pulled towards its
    centre by the smallest factor that provably brings the last one in.
    """

    def __init__(self, n: int = 11, container: str = "triangle") -> None:
        super().__init__(n, least=4)
        if container not in {"triangle", "convex"}:
            raise ValueError(f"container is {container}, must be triangle or convex")
        self._container = container

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the normalised area of the smallest triangle."""
        points, unit = _points(output, self.n, "xy")
        triangles = Triangles(points)
        hull = convex_hull(points)
        pull = Fraction(1)
        if self._container == "convex":
            covered = sum(
                a[0] * b[1] - a[1] * b[0] for a, b in itertools.pairwise([*hull, hull[0]])
            )
            if covered == 0:
                raise Invalid("all points lie on one line")
            value = Fraction(triangles.smallest, covered)
        else:
            pull = pull_into_triangle([(Fraction(x, unit), Fraction(y, unit)) for x, y in points])
            area = Fraction(triangles.smallest, 2 * unit**2) * pull**2
            value = area * 4 / ROOT3_HIGH
        i, j, k = triangles.at
        return Score(
            objective=rounded_down(value),
            measures={"hull_points": float(len(hull)), "radial_spread": _radial_spread(points)},
            metrics={"pull": float(1 - pull)},
            feedback=f"Smallest normalised area {float(value):.12f}, between points {i}, {j} and "
            f"{k}; {triangles.near} triangles are within {float(NEAR):.0%} of it. "
            f"{len(hull)} points are corners of the hull."
            + (f" All were pulled in by {float(1 - pull):.3g}." if pull < 1 else ""),
        )


@dataclass(frozen=True)
class Triangles:
    """All triangles with corners among some points.

    Attributes:
        points: In whole numbers, in the plane.
    """

    points: Sequence[Point]

    @property
    def at(self) -> tuple[int, int, int]:
        """Positions of the corners of the smallest."""
        return min(self._twice_areas, key=self._twice_areas.__getitem__)

    @property
    def smallest(self) -> int:
        """Twice the smallest area."""
        return min(self._twice_areas.values())

    @property
    def near(self) -> int:
        """How many areas are within `NEAR` of the smallest."""
        return sum(area <= self.smallest * (1 + NEAR) for area in self._twice_areas.values())

    @cached_property
    def _twice_areas(self) -> dict[tuple[int, int, int], int]:
        return {
            corners: abs(_turn(*(self.points[corner] for corner in corners)))
            for corners in itertools.combinations(range(len(self.points)), 3)
        }


def convex_hull(points: Iterable[Point]) -> list[Point]:
    """Return the corners of the convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def chain(along: Iterable[Point]) -> list[Point]:
        corners: list[Point] = []
        for point in along:
            while len(corners) > 1 and _turn(corners[-2], corners[-1], point) <= 0:
                corners.pop()
            corners.append(point)
        return corners[:-1]

    return chain(ordered) + chain(reversed(ordered))


def pull_into_triangle(points: Iterable[tuple[Fraction, Fraction]]) -> Fraction:
    """Return a factor, at most 1, that brings points scaled about its centre into the triangle.

    It is rounded down, by less than 2**-200.
    """
    # Distances to the three sides, rounded down; the centre has sqrt(3)/6 from each.
    distance = min(
        min(
            y,
            (min(x * ROOT3_LOW, x * ROOT3_HIGH) - y) / 2,
            (min((1 - x) * ROOT3_LOW, (1 - x) * ROOT3_HIGH) - y) / 2,
        )
        for x, y in points
    )
    if distance >= 0:
        return Fraction(1)
    inner = ROOT3_LOW / 6
    return inner / (inner - distance)


def _turn(a: Point, b: Point, c: Point) -> int:
    """Return twice the signed area of a triangle: positive when it turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _radial_spread(points: Sequence[Point]) -> float:
    """Return the standard deviation of the distances from the centroid over their mean."""
    largest = max(abs(value) for point in points for value in point) or 1
    places = np.array([[value / largest for value in point] for point in points])
    distances = np.linalg.norm(places - places.mean(axis=0), axis=1)
    return float(distances.std() / distances.mean()) if distances.any() else 0.0


def _points(output: Value, n: int, columns: str) -> tuple[list[Point], int]:
    """Read ``n`` rows of coordinates, as whole numbers and the number that stands for 1.

    Raises:
        Invalid: ``output`` is anything else; says which row and why.
    """
    table = rows(output, count=n, columns=columns, low=-LARGEST, high=LARGEST)
    exact = [[Fraction(value) for value in row] for row in table]
    unit = math.lcm(*(value.denominator for row in exact for value in row))
    return [tuple(int(value * unit) for value in row) for row in exact], unit
