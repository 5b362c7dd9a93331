"""Curves as geometry for SVG: scales, ticks, paths. Templates draw what is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evolve.view.web.text import number

WIDTH, HEIGHT = 480.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 12.0, 40.0
#: Points of a curve that can be looked at, the newest ones.
DOTS = 200
#: Series that have a colour of their own; more share them in turn.
COLORS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A place of a curve in data: ``tip`` is shown beside it, ``href`` is where it leads."""

    x: float
    y: float
    tip: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve of steps: it keeps a value until the next point."""

    name: str
    points: Sequence[Point]
    main: bool = True


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, in the units of the drawing."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point that can be looked at, in the units of the drawing."""

    x: float
    y: float
    tip: str
    href: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A curve in the units of the drawing; ``color`` is a number below `COLORS`."""

    name: str
    path: str
    dots: tuple[Dot, ...]
    main: bool
    color: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over common axes; no ``curves`` where there is nothing to draw.

    ``beyond`` says whether some points lie beyond the vertical axis and are drawn at its end,
    ``reference`` is the height of a value to compare with, where it can be shown.
    """

    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Drawn, ...]
    beyond: bool = False
    reference: float | None = None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def steps(
    x_label: str, y_label: str, lines: Sequence[Line], reference: float | None = None
) -> Chart:
    """Lay out curves of steps.

    The vertical axis leaves out what lies far beyond the rest, as the first programs of a run do:
    it reaches from the best value to the worst among the last three quarters of the points.

    Args:
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        lines: The curves; those without points are left out.
        reference: A value to compare with; shown where it lies not too far from the curves.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return Chart(x_label, y_label, (), (), ())
    seen_values = [point.y for line in lines for point in _telling(line)]
    low, high = span(seen_values)
    if reference is not None and low - (high - low) / 2 < reference < high + (high - low) / 2:
        low, high = span([*seen_values, reference])
    else:
        reference = None
    most = max(point.x for line in lines for point in line.points)
    first = min(point.x for line in lines for point in line.points)
    if most <= first:
        most = first + 1

    def across(x: float) -> float:
        return LEFT + (x - first) / (most - first) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        inside = min(max(y, low), high)
        share = (inside / 2 - low / 2) / (high / 2 - low / 2)  # halves: huge numbers stay finite
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    curves = []
    for index, line in enumerate(lines):
        places = [(across(point.x), up(point.y)) for point in line.points]
        seen = [
            Dot(_round(x), _round(y), point.tip, point.href)
            for point, (x, y) in list(zip(line.points, places, strict=True))[-DOTS:]
            if point.tip
        ]
        path = _staircase(places, across(most))
        curves.append(Drawn(line.name, path, tuple(seen), line.main, index % COLORS))
    return Chart(
        x_label,
        y_label,
        tuple(Tick(_round(across(x)), number(x, 4)) for x in ticks(first, most, whole=True)),
        tuple(Tick(_round(up(y)), number(y, 4)) for y in ticks(low, high)),
        tuple(curves),
        reference=None if reference is None else _round(up(reference)),
        beyond=any(not low <= point.y <= high for line in lines for point in line.points),
    )


def ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Return about ``count`` round numbers between two bounds.

    Args:
        low: Lower bound.
        high: Upper bound, at least ``low``.
        count: How many are wanted.
        whole: Only whole numbers.
    """
    half = high / 2 - low / 2
    if not math.isfinite(half) or half <= 0:
        return [low]
    raw = 2 * half / count
    if not raw or not math.isfinite(raw):
        return [low, high]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if last - first > 4 * count:  # the step vanishes beside the bounds
        return [low, high]
    return [index * step for index in range(first, last + 1)]


def _telling(line: Line) -> Sequence[Point]:
    """Return the points that the axis must reach: all but the first quarter of a long curve."""
    points = line.points
    return points[len(points) // 4 :] if len(points) >= 8 else points


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return bounds a little wider than the values."""
    low, high = min(values), max(values)
    margin = (high / 2 - low / 2) * 0.1
    if margin == 0:
        margin = abs(low) * 0.05 or 0.5
    return low - margin, high + margin


def _staircase(places: Sequence[tuple[float, float]], end: float) -> str:
    x, y = places[0]
    parts = [f"M{_round(x)} {_round(y)}"]
    parts += [f"H{_round(x)}V{_round(y)}" for x, y in places[1:]]
    return "".join([*parts, f"H{_round(end)}"])


def _round(value: float) -> float:
    return round(value, 1)
