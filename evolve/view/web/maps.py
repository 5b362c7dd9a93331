"""The archive as geometry for SVG: cells or points, axes, colour bar."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from markupsafe import Markup

from evolve.archive.base import Archive, Clipped, Elite
from evolve.core.estimates import Estimate
from evolve.core.measures import Measure, Objective
from evolve.core.visible import visible
from evolve.view.heatmap import sides
from evolve.view.projection import Projection, Scale, label, project, scale
from evolve.view.raster import COLORS
from evolve.view.web.charts import Tick
from evolve.view.web.links import Links
from evolve.view.web.text import number, varied

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 480.0, 62.0, 14.0, 10.0, 42.0
#: Height of the plane, and of a map of one measure.
PLANE, STRIP = 300.0, 56.0
#: Marks drawn at most; with more cells neighbours share one that shows the best of them.
MOST_ACROSS, MOST_UP = 64, 48
MOST_POINTS = 3000
SHADES = 64
_TICKS = 5
NONE_CLIPPED: Mapping[str, Clipped] = MappingProxyType({})
NOTHING_KNOWN: Mapping[int, Estimate] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Mark:
    """An elite on the map: a cell, or a point where ``width`` is 0."""

    column: int
    row: int
    x: float
    y: float
    color: str
    program: int
    tip: str


@dataclass(frozen=True, slots=True)
class Map:
    """An archive laid out; ``best`` is the middle of the best mark."""

    marks: tuple[Mark, ...]
    cell: tuple[float, float] | None
    best: tuple[float, float] | None
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    worst: str
    top: str
    shades: tuple[str, ...]
    notes: tuple[str, ...]
    height: float
    width: float = WIDTH
    left: float = LEFT
    upper: float = TOP
    across: float = WIDTH - LEFT - RIGHT
    up: float = PLANE


def lay_out(
    archive: Archive,
    objective: Objective,
    axes: tuple[str, str] | None = None,
    clipped: Mapping[str, Clipped] = NONE_CLIPPED,
    known: Mapping[int, Estimate] = NOTHING_KNOWN,
) -> Map:
    """Lay out an archive along two of its measures.

    Args:
        archive: What is shown.
        objective: Turns fitness back into the values shown.
        axes: Names of the measures across and up; default: the first two.
        clipped: What lay outside the bounds beside what the archive has counted.
        known: What samples say of elites whose scores vary, by program.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
    """
    projection = project(archive, axes)
    span = scale(projection.elites.values())
    up = STRIP if projection.y is None else PLANE
    across = WIDTH - LEFT - RIGHT
    tip = partial(_tip, archive, objective, known)
    if projection.shape == "grid":
        marks, cell, pooled = _cells(projection, span, (across, up), tip)
    else:
        marks, cell, pooled = _points(archive, projection, span, (across, up), tip), None, 1
    best = marks[0] if marks else None
    half = (0.0, 0.0) if cell is None else (cell[0] / 2, cell[1] / 2)
    worst = number(objective.fitness(span.low), 4)
    if span.open_below:
        worst = ("≤ " if objective.direction == "maximize" else "≥ ") + worst
    return Map(
        marks=tuple(marks),
        cell=cell,
        best=None if best is None else (_round(best.x + half[0]), _round(best.y + half[1])),
        x_label=label(projection.x),
        y_label="" if projection.y is None else label(projection.y),
        x_ticks=_ticks(projection.x, lambda share: LEFT + share * across),
        y_ticks=()
        if projection.y is None
        else _ticks(projection.y, lambda share: TOP + up - share * up),
        worst=worst,
        top=number(objective.fitness(span.high), 4),
        shades=_RAMP,
        notes=tuple(_notes(archive, projection, pooled, len(marks), clipped)),
        height=TOP + up + BOTTOM,
        up=up,
    )


def drawn(plan: Map, links: Links) -> Markup:
    """Return the marks as SVG. There may be thousands: a template would take ten times as long."""
    shape = '<circle cx="{0}" cy="{1}" r="4" fill="{2}"/>'
    if plan.cell is not None:
        width, height = plan.cell
        shape = f'<rect x="{{0}}" y="{{1}}" width="{width}" height="{height}" fill="{{2}}"/>'
    parts = []
    for index, mark in enumerate(plan.marks):
        tip = html.escape(visible(mark.tip))
        inner = shape.format(mark.x, mark.y, mark.color)
        if not (href := links.program(mark.program)):
            parts.append(f'<g data-tip="{tip}">{inner}</g>')
            continue
        place = f'data-x="{mark.column}" data-y="{mark.row}"'
        name = f"c{mark.column}-{mark.row}" if plan.cell is not None else f"c{mark.program}"
        parts.append(
            f'<a id="{name}" href="{href}" tabindex="{-1 if index else 0}" {place} '
            f'data-tip="{tip}" aria-label="program {mark.program}">{inner}</a>'
        )
    return Markup("\n".join(parts))  # noqa: S704 - numbers, own addresses, and an escaped text


def shade(fraction: float) -> str:
    """Return the colour of a fitness, 0 worst to 1 best."""
    return _RAMP[round(min(max(fraction, 0.0), 1.0) * (SHADES - 1))]


def _between(fraction: float) -> str:
    """Return a colour between the levels of the terminal."""
    place = fraction * (len(COLORS) - 1)
    lower = min(int(place), len(COLORS) - 2)
    share = place - lower
    channels = [
        round(
            (1 - share) * int(COLORS[lower][at : at + 2], 16)
            + share * int(COLORS[lower + 1][at : at + 2], 16)
        )
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{channel:02x}" for channel in channels)


_RAMP = tuple(_between(index / (SHADES - 1)) for index in range(SHADES))


def _cells(
    projection: Projection,
    span: Scale,
    size: tuple[float, float],
    tip: Callable[[Elite], str],
) -> tuple[list[Mark], tuple[float, float], int]:
    """Return one mark for each cell, or for several neighbours where there are too many."""
    pool_x = -(-projection.columns // MOST_ACROSS)
    pool_y = -(-projection.rows // MOST_UP)
    columns, rows = -(-projection.columns // pool_x), -(-projection.rows // pool_y)
    width, height = size[0] / columns, size[1] / rows
    found: dict[tuple[int, int], Elite] = {}
    for (x, y), elite in projection.elites.items():
        found.setdefault((x // pool_x, y // pool_y), elite)  # the fittest come first
    marks = [
        Mark(
            column=x,
            row=y,
            x=_round(LEFT + x * width),
            y=_round(TOP + size[1] - (y + 1) * height),
            color=shade(span.fraction(elite.fitness)),
            program=elite.key,
            tip=tip(elite),
        )
        for (x, y), elite in found.items()
    ]
    return marks, (_round(width), _round(height)), pool_x * pool_y


def _points(
    archive: Archive,
    projection: Projection,
    span: Scale,
    size: tuple[float, float],
    tip: Callable[[Elite], str],
) -> list[Mark]:
    """Return a mark where the measures of each elite lie, the best first."""
    names = [measure.name for measure in archive.measures]
    across = names.index(projection.x.name)
    up = None if projection.y is None else names.index(projection.y.name)
    marks = []
    for elite in archive.elites()[:MOST_POINTS]:
        x = projection.x.fraction(elite.measures[across])
        y = 0.5 if up is None or projection.y is None else projection.y.fraction(elite.measures[up])
        marks.append(
            Mark(
                column=round(x * MOST_ACROSS),
                row=round(y * MOST_UP),
                x=_round(LEFT + x * size[0]),
                y=_round(TOP + (1 - y) * size[1]),
                color=shade(span.fraction(elite.fitness)),
                program=elite.key,
                tip=tip(elite),
            )
        )
    return marks


def _tip(
    archive: Archive, objective: Objective, known: Mapping[int, Estimate], elite: Elite
) -> str:
    score = number(objective.fitness(elite.fitness))
    if elite.key in known:
        score = varied(known[elite.key])
    lines = [f"program {elite.key}", f"{objective.name} {score}"]
    lines += [
        f"{measure.name} {number(value, 4)}"
        for measure, value in zip(archive.measures, elite.measures, strict=True)
    ]
    return "\n".join(lines)


def _ticks(measure: Measure, place: Callable[[float], float]) -> tuple[Tick, ...]:
    """Return some edges of the cells, both ends among them."""
    edges = measure.edges()
    every = max(1, round((len(edges) - 1) / _TICKS))
    chosen = [*range(0, len(edges) - every // 2 - 1, every), len(edges) - 1]
    cells = len(edges) - 1
    return tuple(
        Tick(_round(place(index / cells)), number(edges[index], 3))
        for index in dict.fromkeys(chosen)
    )


def _notes(
    archive: Archive,
    projection: Projection,
    pooled: int,
    marks: int,
    clipped: Mapping[str, Clipped],
) -> list[str]:
    """Return what a reader must know to read the map right."""
    notes = []
    if projection.shape != "grid":
        kind = "CVT cells" if projection.shape == "cvt" else "niches"
        notes.append(f"{kind}, shown where the measures of their elites lie")
        if len(archive) > marks:
            notes.append(f"the best {marks} of {len(archive)}")
    if projection.hidden:
        notes.append(f"each mark shows the best over {', '.join(projection.hidden)}")
    if pooled > 1:
        notes.append(f"each mark shows the best of {pooled} cells")
    counts = {
        name: [a + b for a, b in zip(known, clipped.get(name, (0, 0)), strict=True)]
        for name, known in archive.clipped.items()
    }
    outside = ", ".join(f"{name} {sides(*c)}" for name, c in counts.items() if any(c))
    return [*notes, f"clipped at the bounds: {outside}"] if outside else notes


def _round(value: float) -> float:
    return round(value, 1)
