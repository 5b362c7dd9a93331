"""Packings of hexagons in a hexagon, certified in exact arithmetic.

An angle in degrees stands for the nearest rotation with a rational tangent of its half; there is
one within 1e-18 of every angle. All corners then lie in the field Q(sqrt(3)), where a sign can be
told without error, so nothing here is rounded before the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

from arrangement import Arrangement
from evolve import Case, Invalid, Score, Usage
from evolve.core.values import Value
from evolve.evaluate.outputs import root, rounded_up, rows

#: Hexagons have sides of length 1, so that their centres keep at least sqrt(3) apart.
ROOT3: Final = root(Fraction(3), bits=256)
ULP: Final = Fraction(1, 2**256)
#: Sides that leave no more room than this between them count as touching.
CONTACT: Final = 1e-4
LARGEST_CENTRE, LARGEST_ANGLE = 100.0, 3600.0


class HexagonPacking(Arrangement):
    """Minimise the side of a regular hexagon around ``n`` disjoint ones with side 1.

    The side is computed, never taken from the program. Where hexagons overlap, all centres are
    moved away from the outer hexagon's by the smallest common factor that provably parts them.

    Args:
        n: Number of inner hexagons, at least 2.
    """

    def __init__(self, n: int = 11) -> None:
        super().__init__(n)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Certify the packing and measure it."""
        *inner, outer = _hexagons(output, self.n)
        packing = HexagonsInHexagon(inner, outer)
        angles = sorted(hexagon.degrees % 60 for hexagon in inner)
        steps = [b - a for a, b in itertools.pairwise([*angles, angles[0] + 60])]
        return Score(
            objective=rounded_up(packing.side),
            measures={
                "rotations": float(max(sum(step > 0.5 for step in steps), 1)),
                "contacts": float(len(packing.contacts)),
            },
            metrics={"stretch": float(packing.stretch - 1)},
            feedback=packing.feedback,
        )


@dataclass(frozen=True, slots=True)
class Surd:
    """The number a + b sqrt(3)."""

    a: Fraction
    b: Fraction = Fraction(0)

    def __add__(self, other: Surd) -> Surd:
        return Surd(self.a + other.a, self.b + other.b)

    def __sub__(self, other: Surd) -> Surd:
        return Surd(self.a - other.a, self.b - other.b)

    def __mul__(self, other: Surd) -> Surd:
        return Surd(self.a * other.a + 3 * self.b * other.b, self.a * other.b + self.b * other.a)

    def __float__(self) -> float:
        return float(self.a) + float(self.b) * math.sqrt(3)

    @property
    def above(self) -> Fraction:
        """A rational number that is not smaller, by less than 2**-250 for coordinates."""
        return self.a + self.b * (ROOT3 if self.b < 0 else ROOT3 + ULP)

    @property
    def below(self) -> Fraction:
        """A rational number that is not larger."""
        return self.a + self.b * (ROOT3 if self.b > 0 else ROOT3 + ULP)


_HALF = Fraction(1, 2)
#: Rotations by multiples of 60 degrees, as cosine and sine.
_TURNS: Final = tuple(
    (Surd(cosine), Surd(Fraction(0), sine))
    for cosine, sine in (
        (Fraction(1), Fraction(0)),
        (_HALF, _HALF),
        (-_HALF, _HALF),
        (Fraction(-1), Fraction(0)),
        (-_HALF, -_HALF),
        (_HALF, -_HALF),
    )
)
#: Half the distance between opposite sides.
APOTHEM: Final = Surd(Fraction(0), _HALF)


@dataclass(frozen=True)
class Hexagon:
    """A regular hexagon with side 1; at 0 degrees a corner points to the right.

    Attributes:
        x: Of the centre.
        y: Of the centre.
        degrees: Rotation, counter-clockwise.
    """

    x: Fraction
    y: Fraction
    degrees: float

    @cached_property
    def corners(self) -> list[tuple[Surd, Surd]]:
        """Corners relative to the centre: unit vectors."""
        half = Fraction(math.tan(math.radians(math.remainder(self.degrees, 60.0)) / 2))
        cosine = Surd((1 - half**2) / (1 + half**2))
        sine = Surd(2 * half / (1 + half**2))
        return [(cosine * c - sine * s, sine * c + cosine * s) for c, s in _TURNS]

    @cached_property
    def normals(self) -> list[tuple[Surd, Surd]]:
        """Outward unit normals of the sides: the corners turned by 30 degrees."""
        cosine, sine = Surd(Fraction(0), _HALF), Surd(_HALF)
        return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in self.corners]

    @cached_property
    def rough_corners(self) -> list[tuple[float, float]]:
        """The corners in doubles."""
        return [(float(x), float(y)) for x, y in self.corners]

    @cached_property
    def rough_normals(self) -> list[tuple[float, float]]:
        """The normals in doubles."""
        return [(float(x), float(y)) for x, y in self.normals]


class HexagonsInHexagon:
    """Hexagons with side 1 around a centre, and the hexagon that encloses them.

    Args:
        inner: What is packed.
        outer: Centre and rotation of the hexagon around them.

    Raises:
        Invalid: two centres are so close that no stretching by less than 2 parts the hexagons.
    """

    def __init__(self, inner: Sequence[Hexagon], outer: Hexagon) -> None:
        self._inner, self._outer = inner, outer
        self._gaps = {
            (i, j): _gap(inner[i], inner[j])
            for i, j in itertools.combinations(range(len(inner)), 2)
        }
        self._worst = min(self._gaps, key=lambda pair: self._gaps[pair].room)
        self.stretch = max(Fraction(1), *(gap.stretch for gap in self._gaps.values()))
        if self.stretch >= 2:
            i, j = self._worst
            raise Invalid(f"hexagons {i} and {j} overlap by {-float(self._gaps[i, j].room):.6g}")

    @cached_property
    def side(self) -> Fraction:
        """Side of the outer hexagon after stretching, rounded up by less than 2**-200."""
        reach = max(
            (_along(normal, self._offset(hexagon)) + _along(normal, corner)).above
            for hexagon in self._inner
            for normal in self._outer.normals
            for corner in hexagon.corners
        )
        return reach * 2 / ROOT3

    def _offset(self, hexagon: Hexagon) -> tuple[Surd, Surd]:
        x, y = hexagon.x - self._outer.x, hexagon.y - self._outer.y
        return Surd(x * self.stretch), Surd(y * self.stretch)

    @cached_property
    def contacts(self) -> list[tuple[int, int]]:
        """Pairs that touch, to within `CONTACT`."""
        return [pair for pair, gap in self._gaps.items() if gap.room <= CONTACT]

    @property
    def feedback(self) -> str:
        """What limits the packing."""
        i, j = self._worst
        room = float(self._gaps[i, j].room)
        text = f"Certified side {float(self.side):.12f}; {len(self.contacts)} pairs touch."
        if self.stretch > 1:
            return (
                f"{text} Hexagons {i} and {j} overlap by {-room:.3g}, so all centres were moved "
                f"outwards by the factor 1 + {float(self.stretch - 1):.3g}."
            )
        return f"{text} Nothing overlaps; the closest pair has {room:.3g} between it."


@dataclass(frozen=True, slots=True)
class Gap:
    """The room between two hexagons along the normal of a side that leaves most.

    Attributes:
        room: Rounded down; negative where they overlap.
        stretch: Factor for the distance of the centres that makes the room at least 0.
    """

    room: Fraction
    stretch: Fraction


def _gap(one: Hexagon, other: Hexagon) -> Gap:
    """Return the gap of two hexagons; convex ones are apart if a side's normal separates them."""
    # Doubles choose the side, which costs no rigour: any side that leaves room proves it.
    first, second, side = max(
        (
            (first, second, side)
            for first, second in ((one, other), (other, one))
            for side in range(6)
        ),
        key=lambda choice: _about(*choice),
    )
    normal = first.normals[side]
    room = min(reach.below for reach in _beyond(normal, first, second))
    distance = _along(normal, _between(first, second)).below
    return Gap(room, (distance - room) / distance if 0 < -room < distance else _far(room))


def _far(room: Fraction) -> Fraction:
    """Return the factor for hexagons that are apart, or that no stretching parts."""
    return Fraction(1 if room >= 0 else 2)


def _beyond(normal: tuple[Surd, Surd], first: Hexagon, second: Hexagon) -> list[Surd]:
    """Return how far each corner of the second is beyond the first's side with this normal."""
    start = _along(normal, _between(first, second)) - APOTHEM
    return [start + _along(normal, corner) for corner in second.corners]


def _about(first: Hexagon, second: Hexagon, side: int) -> float:
    """Return roughly how far the second hexagon is beyond a side of the first."""
    x, y = first.rough_normals[side]
    start = x * float(second.x - first.x) + y * float(second.y - first.y)
    return start + min(x * a + y * b for a, b in second.rough_corners)


def _between(first: Hexagon, second: Hexagon) -> tuple[Surd, Surd]:
    return Surd(second.x - first.x), Surd(second.y - first.y)


def _along(normal: tuple[Surd, Surd], vector: tuple[Surd, Surd]) -> Surd:
    return normal[0] * vector[0] + normal[1] * vector[1]


def _hexagons(output: Value, n: int) -> list[Hexagon]:
    """Read ``n + 1`` rows of ``x, y, degrees``.

    Raises:
        Invalid: ``output`` is anything else; says which row and why.
    """
    table = rows(
        output,
        count=n + 1,
        columns=("x", "y", "degrees"),
        low=-LARGEST_ANGLE,
        high=LARGEST_ANGLE,
    )
    for i, (x, y, _) in enumerate(table):
        if max(abs(x), abs(y)) > LARGEST_CENTRE:
            raise Invalid(f"row {i}: the centre is at {x}, {y}, must be within {LARGEST_CENTRE:g}")
    return [Hexagon(Fraction(x), Fraction(y), float(angle)) for x, y, angle in table]
