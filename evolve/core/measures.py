"""The map's axes and the number it is filled by: `Measure` and `Objective`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: pyribs' convention: the shift that keeps a value on a boundary in the upper cell.
EPSILON = 1e-6


class Position(NamedTuple):
    """A cell index on one axis and whether the value had to be clipped to get there."""

    cell: int
    clipped: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """One declared, bounded dimension of the map.

    Attributes:
        name: As the evaluator returns it, or one of the built-in code measures.
        low: Lower bound, in the measure's own unit.
        high: Upper bound; larger than ``low``.
        cells: Number of equal cells between the bounds; at least 1.
    """

    name: str
    low: float
    high: float
    cells: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"measure {self.name}: low {self.low} must be below high {self.high}")
        if self.cells < 1:
            raise ValueError(f"measure {self.name}: cells is {self.cells}, must be at least 1")

    def locate(self, value: float) -> Position:
        """Return the cell of ``value``; out-of-range values go to the edge cell and say so.

        Raises:
            ValueError: ``value`` is NaN or infinite.
        """
        if not math.isfinite(value):
            raise ValueError(f"measure {self.name} is {value}, must be finite")
        inside = min(max(value, self.low), self.high)
        raw = math.floor((self.cells * (inside - self.low) + EPSILON) / (self.high - self.low))
        return Position(min(raw, self.cells - 1), inside != value)

    def edges(self) -> list[float]:
        """Return the ``cells + 1`` cell boundaries, ascending."""
        step = (self.high - self.low) / self.cells
        return [self.low + i * step for i in range(self.cells)] + [self.high]


@dataclass(frozen=True, slots=True)
class Objective:
    """The one declared number to maximise or minimise.

    Attributes:
        name: How tables and prompts call it.
        direction: ``maximize`` or ``minimize``.
        offset: The worst value worth counting, in the objective's unit; the zero of the QD score.
    """

    name: str
    direction: Literal["maximize", "minimize"] = "maximize"
    offset: float = 0.0

    def fitness(self, value: float) -> float:
        """Return ``value`` turned so that larger is better. It is its own inverse."""
        return value if self.direction == "maximize" else -value

    def better(self, a: float, b: float) -> bool:
        """Return whether ``a`` is strictly better than ``b``."""
        return self.fitness(a) > self.fitness(b)
