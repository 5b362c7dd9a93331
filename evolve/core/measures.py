"""The map's axes and the number it is filled by: `Measure` and `Objective`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: pyribs' convention: the shift that keeps a value on a boundary in the upper cell.
EPSILON = 1e-6

#: How cells are spread over an axis: of equal width in the value, in its logarithm, in its square
#: root, or with equally many of the programs seen in each.
Spacing: TypeAlias = Literal["linear", "log", "sqrt", "quantile"]


class Position(NamedTuple):
    """A cell index on one axis; ``side`` is -1 for a value below the bounds, 1 above, else 0."""

    cell: int
    side: int

    @property
    def clipped(self) -> bool:
        """Whether the value had to be clipped to get there."""
        return self.side != 0


@dataclass(frozen=True, slots=True)
class Measure:
    """One declared, bounded dimension of the map.

    Attributes:
        name: As the evaluator returns it, or one of the built-in code measures.
        low: Lower bound, in the measure's own unit; above 0 for ``log``, at least 0 for ``sqrt``.
        high: Upper bound; larger than ``low``.
        cells: Number of cells between the bounds; at least 1.
        scale: How the cells are spread.
        breaks: The inner edges of ``quantile`` cells, ascending; None until they are known, and the
            cells are equal so long.
        unit: As axes show it; empty for a plain number.
    """

    name: str
    low: float
    high: float
    cells: int
    scale: Spacing = "linear"
    breaks: tuple[float, ...] | None = None
    unit: str = ""
    _inner: tuple[float, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"measure {self.name}: low {self.low} must be below high {self.high}")
        if self.cells < 1:
            raise ValueError(f"measure {self.name}: cells is {self.cells}, must be at least 1")
        if problem := spacing_problem(self.scale, self.low):
            raise ValueError(f"measure {self.name}: {problem}")
        if self.breaks is not None:
            edges = (self.low, *self.breaks, self.high)
            if len(edges) != self.cells + 1 or any(a >= b for a, b in pairwise(edges)):
                raise ValueError(
                    f"measure {self.name}: {self.breaks} do not part {self.cells} cells"
                )
        if self.scale in ("log", "sqrt") or self.breaks:
            object.__setattr__(self, "_inner", tuple(self.edges()[1:-1]))

    def locate(self, value: float) -> Position:
        """Return the cell of ``value``; out-of-range values go to the edge cell and say so.

        Raises:
            ValueError: ``value`` is NaN or infinite.
        """
        return Position(self.cell(value), (value > self.high) - (value < self.low))

    def cell(self, value: float) -> int:
        """Return the cell of ``value``, the edge cell when it is out of range.

        A value on an edge belongs to the upper cell.

        Raises:
            ValueError: ``value`` is NaN or infinite.
        """
        if not math.isfinite(value):
            raise ValueError(f"measure {self.name} is {value}, must be finite")
        inside = min(max(value, self.low), self.high)
        if self._inner:
            return bisect_right(self._inner, inside)
        raw = math.floor((self.cells * (inside - self.low) + EPSILON) / (self.high - self.low))
        return min(raw, self.cells - 1)

    def cells_of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return what `cell` gives for many finite values at once, shape ``(many,)``."""
        inside = np.clip(values, self.low, self.high)
        if self._inner:
            return np.searchsorted(self._inner, inside, side="right").astype(np.int64)
        raw = (self.cells * (inside - self.low) + EPSILON) / (self.high - self.low)
        return np.minimum(np.floor(raw).astype(np.int64), self.cells - 1)

    def fraction(self, value: float) -> float:
        """Return where ``value`` lies between the bounds on the axis' scale, 0 to 1, clipped.

        Raises:
            ValueError: ``value`` is NaN or infinite.
        """
        if not math.isfinite(value):
            raise ValueError(f"measure {self.name} is {value}, must be finite")
        inside = min(max(value, self.low), self.high)
        if self.breaks:
            return float(np.interp(inside, self.edges(), np.linspace(0.0, 1.0, self.cells + 1)))
        low, high = self._scaled(self.low), self._scaled(self.high)
        # Halves, because the difference of two very large numbers is infinite.
        share = (self._scaled(inside) / 2 - low / 2) / (high / 2 - low / 2)
        return min(max(share, 0.0), 1.0)

    def value(self, fraction: float) -> float:
        """Return the value at a place between the bounds; undoes `fraction`."""
        if self.breaks:
            return float(np.interp(fraction, np.linspace(0.0, 1.0, self.cells + 1), self.edges()))
        low, high = self._scaled(self.low), self._scaled(self.high)
        raw = self._unscaled(low + fraction * (high - low))
        return min(max(raw, self.low), self.high)

    def edges(self) -> list[float]:
        """Return the ``cells + 1`` cell boundaries, ascending."""
        if self.breaks is not None:
            return [self.low, *self.breaks, self.high]
        low, high = self._scaled(self.low), self._scaled(self.high)
        step = (high - low) / self.cells
        inner = [self._unscaled(low + i * step) for i in range(1, self.cells)]
        return [self.low, *inner, self.high]

    @property
    def settled(self) -> bool:
        """Whether the edges are known, as they are for all but ``quantile`` cells to be cut."""
        return self.scale != "quantile" or self.breaks is not None

    def cut(self, values: Iterable[float]) -> Self:
        """Return this axis with ``quantile`` cells that each hold equally many of ``values``.

        Edges that would coincide, because a value is frequent, become one: then there are fewer
        cells. Values beyond the bounds count as the bounds.
        """
        inside = np.clip(np.fromiter(values, dtype=float), self.low, self.high)
        shares = np.arange(1, self.cells) / self.cells
        cuts = np.unique(np.quantile(inside, shares)).tolist() if len(inside) else []
        breaks = tuple(cut for cut in cuts if self.low < cut < self.high)
        return replace(self, cells=len(breaks) + 1, breaks=breaks)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes for JSON, without those that have their usual value."""
        data = {"name": self.name, "low": self.low, "high": self.high, "cells": self.cells}
        if self.scale != "linear":
            data["scale"] = self.scale
        if self.breaks is not None:
            data["breaks"] = list(self.breaks)
        if self.unit:
            data["unit"] = self.unit
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Undo `as_dict`."""
        breaks = data.get("breaks")
        return cls(**{**data, "breaks": None if breaks is None else tuple(breaks)})

    def _scaled(self, value: float) -> float:
        if self.scale == "log":
            return math.log(value)
        return math.sqrt(value) if self.scale == "sqrt" else value

    def _unscaled(self, value: float) -> float:
        if self.scale == "log":
            return math.exp(value)
        return value * value if self.scale == "sqrt" else value


def spacing_problem(scale: Spacing, low: float) -> str:
    """Return what is wrong with a lower bound on such an axis, or nothing."""
    if scale == "log" and low <= 0:
        return f"scale log needs low above 0, it is {low:g}; use sqrt or linear, or raise low"
    if scale == "sqrt" and low < 0:
        return f"scale sqrt needs low at least 0, it is {low:g}; use linear, or raise low"
    return ""


@dataclass(frozen=True, slots=True)
class Objective:
    """The one declared number to maximise or minimise.

    Attributes:
        name: How tables and prompts call it.
        direction: ``maximize`` or ``minimize``.
        offset: The worst value worth counting, in the objective's unit; the zero of the QD score.
        unit: As axes show it; empty for a plain number.
    """

    name: str
    direction: Literal["maximize", "minimize"] = "maximize"
    offset: float = 0.0
    unit: str = ""

    def fitness(self, value: float) -> float:
        """Return ``value`` turned so that larger is better. It is its own inverse."""
        return value if self.direction == "maximize" else -value

    def better(self, a: float, b: float) -> bool:
        """Return whether ``a`` is strictly better than ``b``."""
        return self.fitness(a) > self.fitness(b)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value of the objective that is known, and from where.

    Attributes:
        value: As published.
        source: Who says so.
        margin: How much better than a record another value must be to count as a new one: what
            rounding, or one more digit of the same construction, can make.
    """

    value: float
    source: str
    margin: float = 0.0

    def gain(self, value: float, objective: Objective) -> float:
        """Return by how much ``value`` is better, negative if it is worse."""
        return objective.fitness(value) - objective.fitness(self.value)

    def against(self, value: float, objective: Objective) -> str:
        """Say in a sentence how ``value`` compares with the record."""
        gain = self.gain(value, objective)
        if gain > self.margin:
            return f"beats the record {self.value:.12g} by {gain:.4g}"
        if gain >= -self.margin:
            within = f", to within {self.margin:g}" if self.margin else ""
            return f"as good as the record {self.value:.12g}{within}"
        return f"short of the record {self.value:.12g} by {-gain:.4g}"
