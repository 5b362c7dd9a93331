"""Packings of discs in a square or a rectangle, certified in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from arrangement import Arrangement
from evolve import Case, Invalid, Score, Usage
from evolve.core.png import encode_png
from evolve.core.values import Value
from evolve.evaluate.outputs import rounded_down, rows

#: Centre and radius: ``x, y, r``.
Disc: TypeAlias = tuple[Fraction, Fraction, Fraction]

#: Binary digits that a rounded square root has beyond the last digit of the coordinates.
ROOT_BITS: Final = 128
#: Discs that leave no more room than this between them, or to a wall, count as touching.
CONTACT: Final = 1e-5
#: Width and height of a drawing.
PIXELS: Final = 320


class CirclePacking(Arrangement):
    """Maximise the sum of radii of ``n`` discs in the unit square that do not overlap.

    Doubles are taken as the exact rationals they are, and there is no tolerance: every radius is
    cut by the smallest amount that provably makes the packing valid, and what is left is summed.
    The score is the sum of radii of a packing that exists, rounded down.

    Args:
        n: Number of discs, at least 2.
        seconds: As in `Arrangement`; what later programs begin with is the packing after the cut.
        picture: Whether scores come with a drawing of the packing; see `drawing`.
    """

    def __init__(self, n: int = 26, *, seconds: float | None = None, picture: bool = False) -> None:
        super().__init__(n, seconds=seconds)
        self._picture = picture

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Certify the packing and measure it."""
        discs = _discs(output, self.n, low=0, high=1)
        packing = Packing(discs, _wall_gaps(discs))
        return Score(
            objective=rounded_down(packing.certified),
            measures={
                "radius_spread": packing.radius_spread,
                "wall_contacts": packing.wall_contacts,
            },
            metrics={"cut": float(packing.cut), "contacts": float(len(packing.contacts))},
            feedback=packing.feedback,
            images={"packing": encode_png(drawing(packing))} if self._picture else {},
            construction=packing.rows,
        )


class RectanglePacking(Arrangement):
    """Maximise the sum of radii of ``n`` disjoint discs in a rectangle with width + height = 2.

    The program chooses the rectangle: it is the smallest one around its discs, and where that is
    too large, all radii are cut as they are for overlaps; see `CirclePacking`.

    Args:
        n: Number of discs, at least 2.
    """

    def __init__(self, n: int = 21) -> None:
        super().__init__(n)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Certify the packing and measure it."""
        discs = _discs(output, self.n, low=-10, high=10)
        width, height = _extent(discs, 0), _extent(discs, 1)
        box = Gap((), "the discs and the rectangle", 2 - width - height, give=4)
        packing = Packing(discs, [box])
        return Score(
            objective=rounded_down(packing.certified),
            measures={
                "radius_spread": packing.radius_spread,
                "aspect": float(min(width, height) / max(width, height)),
            },
            metrics={"cut": float(packing.cut), "half_perimeter": float(width + height)},
            feedback=f"{packing.feedback} The smallest rectangle around the discs is "
            f"{float(width):.9f} x {float(height):.9f}.",
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """The room between two discs, or between discs and walls.

    Attributes:
        discs: Positions of the two discs, or of the one; none for all.
        what: How feedback calls it.
        room: Distance from rim to rim or wall, rounded down; negative where they overlap.
        give: How much it grows by when every radius is cut by 1.
    """

    discs: tuple[int, ...]
    what: str
    room: Fraction
    give: int

    @property
    def cut(self) -> Fraction:
        """What each radius must lose for it to close exactly."""
        return -self.room / self.give


class Packing:
    """Discs between walls, with what must be cut from their radii to make them disjoint.

    Args:
        discs: Centres and positive radii.
        walls: The gaps that are not between two discs.

    Raises:
        Invalid: the cut would leave nothing of the smallest disc.
    """

    def __init__(self, discs: Sequence[Disc], walls: Iterable[Gap]) -> None:
        self._discs = discs
        self._gaps = [*walls, *_pair_gaps(discs)]
        tightest = max(self._gaps, key=lambda gap: gap.cut)
        self._overlap = tightest if tightest.room < 0 else None
        self.cut = max(tightest.cut, Fraction(0))
        smallest = min(range(len(discs)), key=lambda i: discs[i][2])
        if discs[smallest][2] <= self.cut:
            raise Invalid(
                f"{tightest.what} overlap by {float(-tightest.room):.6g}: cutting every radius by "
                f"{float(self.cut):.6g} to mend it would leave nothing of disc {smallest}, whose "
                f"radius is {float(discs[smallest][2]):.6g}"
            )

    @property
    def certified(self) -> Fraction:
        """The sum of radii after the cut."""
        return sum((r for _, _, r in self._discs), Fraction(0)) - len(self._discs) * self.cut

    @property
    def rows(self) -> list[Value]:
        """Centre and radius of each disc after the cut, radii rounded down."""
        return [[float(x), float(y), rounded_down(r - self.cut)] for x, y, r in self._discs]

    @property
    def radius_spread(self) -> float:
        """Standard deviation of the radii over their mean, after the cut."""
        radii = np.array([float(r - self.cut) for _, _, r in self._discs])
        return float(radii.std() / radii.mean())

    @property
    def wall_contacts(self) -> float:
        """Share of discs that touch a wall, from 0 to 1."""
        walled = {gap.discs for gap in self.contacts if len(gap.discs) == 1}
        return len(walled) / len(self._discs)

    @cached_property
    def contacts(self) -> list[Gap]:
        """The gaps that are closed after the cut, to within `CONTACT`."""
        return [gap for gap in self._gaps if (self.cut - gap.cut) * gap.give <= CONTACT]

    @property
    def feedback(self) -> str:
        """What limits the packing, and which discs have room to grow."""
        total = f"Certified sum of radii {float(self.certified):.12f}."
        if self._overlap is None:
            overlap = "Nothing overlaps."
        else:
            overlap = (
                f"{self._overlap.what} overlap by {float(-self._overlap.room):.3g}, so every radius"
                f" was cut by {float(self.cut):.3g}: that cost {float(self.cut * self.count):.3g}."
            ).capitalize()
        touching = {disc for gap in self.contacts for disc in gap.discs}
        free = [str(i) for i in range(self.count) if i not in touching]
        loose = f"discs {', '.join(free)} touch nothing and can grow" if free else "none is loose"
        return f"{total} {overlap} {len(self.contacts)} contacts within {CONTACT:g}; {loose}."

    @property
    def count(self) -> int:
        """How many discs there are."""
        return len(self._discs)

    @property
    def cut_discs(self) -> NDArray[np.float64]:
        """Centres and radii after the cut, of shape ``(count, 3)``."""
        return np.array([[float(x), float(y), float(r - self.cut)] for x, y, r in self._discs])


def drawing(packing: Packing, side: int = PIXELS) -> NDArray[np.uint8]:
    """Draw a packing of the unit square: discs in grey, what is touched as black lines.

    A line joins the centres of two discs that touch, or leads from a centre to the wall that the
    disc touches. Discs that touch nothing are darker. The second coordinate points up.

    Returns:
        Pixels of shape ``(side, side)``.
    """
    pixels = np.full((side, side), 255, np.uint8)
    centres = (np.arange(side) + 0.5) / side
    discs = packing.cut_discs
    touching = {disc for gap in packing.contacts for disc in gap.discs}
    for number, (cx, cy, r) in enumerate(discs):
        across, down = (
            slice(max(int((c - r) * side) - 1, 0), int((c + r) * side) + 2) for c in (cx, 1 - cy)
        )
        distance = np.hypot(centres[across] - cx, (1 - centres[down])[:, None] - cy)
        around = pixels[down, across]  # a view
        around[distance <= r] = 210 if number in touching else 150
        around[np.abs(distance - r) <= 0.7 / side] = 90
    pairs = [gap.discs for gap in packing.contacts if len(gap.discs) == 2]
    lines = [(discs[i, :2], discs[j, :2]) for i, j in pairs]
    lines += [(disc[:2], end) for disc in discs for end in _wall_points(disc)]
    for start, end in lines:
        columns, upward = (
            np.clip(np.linspace(start, end, 2 * side) * side, 0, side - 1).astype(int).T
        )
        pixels[side - 1 - upward, columns] = 0
    pixels[[0, -1], :] = pixels[:, [0, -1]] = 0
    return pixels


def _wall_points(disc: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield where a disc touches a wall of the unit square."""
    for axis in (0, 1):
        for wall in (0.0, 1.0):
            if abs(disc[axis] - wall) - disc[2] <= CONTACT:
                point = disc[:2].copy()
                point[axis] = wall
                yield point


def _wall_gaps(discs: Sequence[Disc]) -> Iterator[Gap]:
    for i, (x, y, r) in enumerate(discs):
        for wall, distance in (("left", x), ("right", 1 - x), ("bottom", y), ("top", 1 - y)):
            yield Gap((i,), f"disc {i} and the {wall} wall", distance - r, give=1)


def _pair_gaps(discs: Sequence[Disc]) -> Iterator[Gap]:
    """Yield the gap of every pair; in whole numbers, because square roots of those are exact."""
    unit = max(value.denominator for disc in discs for value in disc) << ROOT_BITS
    scaled = [[int(value * unit) for value in disc] for disc in discs]
    for j, (xj, yj, rj) in enumerate(scaled):
        for i, (xi, yi, ri) in enumerate(scaled[:j]):
            distance = math.isqrt((xi - xj) ** 2 + (yi - yj) ** 2)
            yield Gap((i, j), f"discs {i} and {j}", Fraction(distance - ri - rj, unit), give=2)


def _extent(discs: Sequence[Disc], axis: int) -> Fraction:
    """Return the width (0) or height (1) of the smallest rectangle around the discs."""
    return max(d[axis] + d[2] for d in discs) - min(d[axis] - d[2] for d in discs)


def _discs(output: Value, n: int, *, low: int, high: int) -> list[Disc]:
    """Read ``n`` rows of ``x, y, r``.

    Raises:
        Invalid: ``output`` is anything else; says which row and why.
    """
    table = rows(output, count=n, columns="xyr", low=low, high=high)
    for i, row in enumerate(table):
        if row[2] <= 0:
            raise Invalid(f"row {i}: the radius is {row[2]}, must be positive")
    return [(Fraction(x), Fraction(y), Fraction(r)) for x, y, r in table]
