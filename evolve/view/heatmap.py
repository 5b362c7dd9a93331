"""The archive as a map on a terminal, and as data."""

from __future__ import annotations

import textwrap

from rich.text import Text

from evolve.archive.base import Archive
from evolve.core.measures import Measure, Objective
from evolve.view.projection import Projection, Scale, label, project, qualified, scale
from evolve.view.raster import BEST_CHARACTER, BEST_COLOR, Raster, ramp, rasterize


def heatmap(
    archive: Archive,
    objective: Objective,
    *,
    axes: tuple[str, str] | None = None,
    width: int = 80,
    color: bool = True,
    lines: int = 24,
) -> Text:
    """Draw an archive for a terminal.

    The first axis runs to the right and the second upwards. In colour a character shows two cells,
    one above the other; without colour one, in plain ASCII. Where there are more cells than
    characters, neighbouring cells share one that shows the best of them, and a note says so.

    Args:
        archive: What is drawn; it may be empty.
        objective: Turns fitness back into the values shown.
        axes: Names of the two measures; default: the first two. Each cell shows the best over the
            others.
        width: Columns to stay within, at least 48.
        color: Whether colours can be shown.
        lines: Lines the cells may take, at least 1; title, axes and notes take some ten more.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
    """
    projection = project(archive, axes)
    span = scale(projection.elites.values())
    labels = [_number(bound) for bound in _bounds(projection.y)]
    margin = max(map(len, labels), default=0)
    raster = rasterize(projection, span, columns=width - margin - 3, lines=lines, color=color)
    parts = [
        *_wrapped(_title(archive, objective), width),
        *_wrapped(label(projection.y) if projection.y else "", width),
        *_framed(raster, labels, margin),
        *_ruler(projection.x, indent=margin + 2, columns=raster.pixels.shape[1], width=width),
        *(_legend(span, objective, color=color, width=width) if len(archive) else []),
    ]
    for note in _notes(archive, projection, raster.pooled):
        parts += _wrapped(note, width)
    return Text("\n", no_wrap=True, overflow="crop").join(parts)


def heatmap_data(
    archive: Archive, objective: Objective, axes: tuple[str, str] | None = None
) -> dict[str, object]:
    """Return what `heatmap` draws, ready for JSON.

    Keys:
        objective: ``name``, ``direction`` and ``unit``.
        axes: One or two of ``name``, ``unit``, ``low``, ``high``, ``scale``, ``edges`` (one more
            than cells, ascending) and ``clipped`` (additions ``below`` and ``above`` the bounds);
            horizontal first.
        cells: Each cell that holds an elite, best first: ``x`` and ``y`` (0-based column and row,
            lowest value first; ``y`` is 0 on a single axis), ``objective`` in its own direction,
            and ``program``.
        best: The best program's entry of ``cells``, or null.
        hidden: Names of the measures not shown; each cell holds the best over them.
        kind: ``grid``, ``cvt`` or ``novelty``; except for a grid ``x`` and ``y`` say where the
            measures of the elites lie, not which cell is theirs.
        stats: As `evolve.archive.stats.ArchiveStats` of the whole archive, with ``best`` and
            ``mean`` in the objective's direction; ``cells`` is the number of cells.

    Raises:
        ConfigError: an axis is no measure of the archive, or both are the same.
    """
    projection = project(archive, axes)
    stats = archive.stats()
    cells = [
        {"x": x, "y": y, "objective": objective.fitness(elite.fitness), "program": elite.key}
        for (x, y), elite in projection.elites.items()
    ]
    shown = [measure for measure in (projection.x, projection.y) if measure is not None]
    return {
        "objective": {
            "name": objective.name,
            "direction": objective.direction,
            "unit": objective.unit,
        },
        "axes": [
            {
                "name": measure.name,
                "unit": measure.unit,
                "low": measure.low,
                "high": measure.high,
                "scale": measure.scale,
                "edges": measure.edges(),
                "clipped": archive.clipped[measure.name]._asdict(),
            }
            for measure in shown
        ],
        "cells": cells,
        "best": cells[0] if cells else None,
        "hidden": list(projection.hidden),
        "kind": projection.shape,
        "stats": {
            **stats._asdict(),
            "cells": archive.cells,
            "best": None if stats.best is None else objective.fitness(stats.best),
            "mean": None if stats.mean is None else objective.fitness(stats.mean),
        },
    }


def describe(archive: Archive) -> str:
    """Return how many elites an archive holds, of how many cells, and its coverage."""
    stats = archive.stats()
    elites = "1 elite" if stats.num_elites == 1 else f"{stats.num_elites} elites"
    if stats.coverage is None:
        return f"{elites}, each in a niche of its own"
    cells = f"{archive.cells} cells"
    occupied = len(archive.champions())
    if occupied < stats.num_elites:
        cells = f"{occupied} of {cells}"
    return f"{elites} in {cells}, coverage {stats.coverage:.3g}"


def clipped_note(archive: Archive) -> str:
    """Return how often each measure was clipped, or an empty text when none was."""
    counts = ", ".join(f"{name} {sides(*c)}" for name, c in archive.clipped.items() if any(c))
    return f"clipped at the bounds: {counts}" if counts else ""


def sides(below: int, above: int) -> str:
    """Return two counts in words, without those that are zero."""
    counts = {"below": below, "above": above}
    return " and ".join(f"{count} {side}" for side, count in counts.items() if count)


def _title(archive: Archive, objective: Objective) -> str:
    stats = archive.stats()
    name = qualified(objective.name, objective.unit, objective.direction)
    title = f"{name}: {describe(archive)}"
    if stats.best is None:
        return title
    return f"{title}, best {_number(objective.fitness(stats.best))}"


def _framed(raster: Raster, labels: list[str], margin: int) -> list[Text]:
    """Put the axes around the map, with arrows that point at the best cell's row and column."""
    side, corner, floor, left, up = "│└─◂▴" if raster.color else "|+-<^"
    rows, best = raster.lines(), raster.best()
    low, high = labels or ("", "")
    framed = []
    for index, row in enumerate(rows):
        label = low if index == len(rows) - 1 else high if index == 0 else ""
        arrow = left if best is not None and index == best[0] else ""
        framed.append(Text.assemble(f"{label:>{margin}} {side}", row, arrow))
    bottom = [floor] * raster.pixels.shape[1]
    if best is not None:
        bottom[best[1]] = up
    return [*framed, Text(" " * (margin + 1) + corner + "".join(bottom))]


def _ruler(measure: Measure, *, indent: int, columns: int, width: int) -> list[Text]:
    """Return the horizontal axis' bounds and name, on one line where they fit."""
    low, high = map(_number, _bounds(measure))
    gap, name = columns - len(low) - len(high), label(measure)
    if gap >= len(name) + 2:
        return [Text(" " * indent + low + name.center(gap) + high)]
    bounds = low + " " * gap + high if gap > 0 else f"{low} to {high}"
    return [Text(" " * indent + bounds), *_wrapped(name, width)]


def _legend(span: Scale, objective: Objective, *, color: bool, width: int) -> list[Text]:
    """Return the colour bar between the objectives of its ends, worst to best, and the marks."""
    worst, best = (_number(objective.fitness(end)) for end in (span.low, span.high))
    if span.open_below:
        worst = f"{'<=' if objective.direction == 'maximize' else '>='} {worst}"
    bar = Text.assemble(worst, " ", ramp(color=color), " ", best)
    mark = ("██", BEST_COLOR) if color else BEST_CHARACTER
    marks = Text.assemble(mark, " best   ", "· empty" if color else "blank empty")
    together = Text("   ").join([bar, marks])
    return [together] if len(together) <= width else [bar, marks]


def _notes(archive: Archive, projection: Projection, pooled: tuple[int, int]) -> list[str]:
    """Return what a reader must know to read the map right."""
    notes = []
    if archive.best is not None:
        values = zip(archive.measures, archive.best.measures, strict=True)
        place = ", ".join(f"{measure.name} {_number(value)}" for measure, value in values)
        notes.append(f"best: program {archive.best.key} at {place}")
    if projection.shape != "grid":
        kind = "CVT cells" if projection.shape == "cvt" else "niches"
        notes.append(f"{kind}, shown where the measures of their elites lie")
    if projection.hidden:
        notes.append(f"each cell shows the best over {', '.join(projection.hidden)}")
    if max(pooled) > 1:
        notes.append(f"each mark shows the best of {pooled[0]} x {pooled[1]} cells")
    return [*notes, clipped_note(archive)]


def _bounds(measure: Measure | None) -> list[float]:
    return [] if measure is None else [measure.low, measure.high]


def _wrapped(line: str, width: int) -> list[Text]:
    return [Text(part) for part in textwrap.wrap(line, width)]


def _number(value: float) -> str:
    return f"{value:.6g}"
