"""Packings: discs in the unit square, certified in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

#: Centre and radius: ``x, y, r``.
Disc: TypeAlias = tuple[Fraction, Fraction, Fraction]

#: Binary digits that a rounded square root has beyond the last digit of the coordinates.
ROOT_BITS: Final = 128
#: Discs that leave no more room than this between them, or to a wall, count as touching.
CONTACT: Final = 1e-5


class CirclePacking(Evaluator):
    """Maximise the sum of radii of ``n`` discs in the unit square that do not overlap.

    Doubles are taken as the exact rationals they are, and there is no tolerance: every radius is
    cut by the smallest amount that provably makes the packing valid, and what is left is summed.
    The score is the sum of radii of a packing that exists, rounded down.

    Args:
        n: Number of discs, at least 2.
    """

    def __init__(self, n: int = 26) -> None:
        if n < 2:
            raise ValueError(f"n is {n}, must be at least 2")
        self._n = n

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a packing is its own proof."""
        if stage == "search":
            yield Case({"n": self._n})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Certify the packing and measure it."""
        packing = Packing(_discs(output, self._n))
        return Score(
            objective=rounded_down(packing.certified),
            measures={
                "radius_spread": packing.radius_spread,
                "wall_contacts": packing.wall_contacts,
            },
            metrics={"cut": float(packing.cut), "contacts": float(len(packing.contacts))},
            feedback=packing.feedback,
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """The room between two discs, or between a disc and a wall.

    Attributes:
        discs: Positions of the two discs, or of the one.
        what: How feedback calls it.
        room: Distance from rim to rim or wall, rounded down; negative where they overlap.
    """

    discs: tuple[int, ...]
    what: str
    room: Fraction

    @property
    def cut(self) -> Fraction:
        """What each of its radii must lose for it to close exactly."""
        return -self.room / len(self.discs)


class Packing:
    """Discs in the unit square, with what must be cut from their radii to make them disjoint.

    Args:
        discs: Centres inside the square, positive radii.

    Raises:
        Invalid: the cut would leave nothing of the smallest disc.
    """

    def __init__(self, discs: Sequence[Disc]) -> None:
        self._discs = discs
        self._gaps = [*_wall_gaps(discs), *_pair_gaps(discs)]
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
        return [gap for gap in self._gaps if (self.cut - gap.cut) * len(gap.discs) <= CONTACT]

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


def rounded_down(value: Fraction) -> float:
    """Return the largest double that is not above ``value``."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)


def _wall_gaps(discs: Sequence[Disc]) -> Iterator[Gap]:
    for i, (x, y, r) in enumerate(discs):
        for wall, distance in (("left", x), ("right", 1 - x), ("bottom", y), ("top", 1 - y)):
            yield Gap((i,), f"disc {i} and the {wall} wall", distance - r)


def _pair_gaps(discs: Sequence[Disc]) -> Iterator[Gap]:
    """Yield the gap of every pair; in whole numbers, because square roots of those are exact."""
    unit = max(value.denominator for disc in discs for value in disc) << ROOT_BITS
    scaled = [[int(value * unit) for value in disc] for disc in discs]
    for j, (xj, yj, rj) in enumerate(scaled):
        for i, (xi, yi, ri) in enumerate(scaled[:j]):
            distance = math.isqrt((xi - xj) ** 2 + (yi - yj) ** 2)
            yield Gap((i, j), f"discs {i} and {j}", Fraction(distance - ri - rj, unit))


def _discs(output: Value, n: int) -> list[Disc]:
    """Read ``n`` rows of ``x, y, r``.

    Raises:
        Invalid: ``output`` is anything else; says which row and why.
    """
    wanted = f"pack must return {n} rows of three numbers x, y, r"
    if isinstance(output, np.ndarray):
        if output.shape != (n, 3):
            raise Invalid(f"{wanted}, not an array of shape {output.shape}")
        output = output.tolist()
    if not isinstance(output, list):
        raise Invalid(f"{wanted}, not a {type(output).__name__}")
    if len(output) != n:
        raise Invalid(f"{wanted}, not {len(output)} rows")
    return [_disc(row, i) for i, row in enumerate(output)]


def _disc(row: object, i: int) -> Disc:
    if isinstance(row, np.ndarray) and row.shape == (3,):
        row = row.tolist()
    if not isinstance(row, list) or len(row) != 3:
        raise Invalid(f"row {i} must be three numbers x, y, r")
    for name, value in zip("xyr", row, strict=True):
        if type(value) not in {int, float}:
            raise Invalid(f"row {i}: {name} is a {type(value).__name__}, must be a real number")
        if not 0 <= value <= 1:  # refuses NaN, too
            raise Invalid(f"row {i}: {name} is {str(value)[:24]}, must be between 0 and 1")
    if row[2] == 0:
        raise Invalid(f"row {i}: the radius is 0, must be positive")
    return Fraction(row[0]), Fraction(row[1]), Fraction(row[2])
