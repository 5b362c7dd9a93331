"""The ancestry of a program as geometry for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.core.measures import Objective
from evolve.store.records import ProgramEntry
from evolve.view.web.charts import Tick, span, ticks
from evolve.view.web.links import Links
from evolve.view.web.text import number

WIDTH, HEIGHT = 960.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 24.0, 16.0, 40.0


@dataclass(frozen=True, slots=True)
class Node:
    """A program of the tree; ``main`` on the line of first parents, ``end`` the one asked for."""

    x: float
    y: float
    tip: str
    href: str
    main: bool
    end: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """From a parent to what was made from it."""

    path: str
    main: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """Ancestors by generation across and objective up."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    y_label: str
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def ancestry(
    entry: ProgramEntry, ancestors: Sequence[ProgramEntry], objective: Objective, links: Links
) -> Tree | None:
    """Lay out a program and its ancestors; None when there are none with a score.

    The vertical axis is that of the line of first parents; what lies beyond is drawn at its edge.
    """
    known = {each.id: each for each in ancestors}
    scored = [each.objective for each in ancestors if each.objective is not None]
    if len(ancestors) < 2 or not scored:
        return None
    main = {entry.id}
    current = entry
    while current.parents and current.parents[0] in known:
        current = known[current.parents[0]]
        main.add(current.id)
    line = [each.objective for each in ancestors if each.id in main and each.objective is not None]
    low, high = span(line or scored)
    deepest = max(1, *(each.generation for each in ancestors))

    def place(each: ProgramEntry) -> tuple[float, float]:
        x = LEFT + each.generation / deepest * (WIDTH - LEFT - RIGHT)
        value = low if each.objective is None else min(max(each.objective, low), high)
        share = (value / 2 - low / 2) / (high / 2 - low / 2)
        return round(x, 1), round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    edges = []
    for each in ancestors:
        for position, parent in enumerate(each.parents):
            if parent in known:
                (x, y), (a, b) = place(known[parent]), place(each)
                path = f"M{x} {y}C{round((x + a) / 2, 1)} {y} {round((x + a) / 2, 1)} {b} {a} {b}"
                on_line = position == 0 and each.id in main
                edges.append(Edge(path, on_line))
    nodes = [
        Node(
            *place(each),
            _tip(each, objective),
            links.program(each.id),
            each.id in main,
            each.id == entry.id,
        )
        for each in sorted(ancestors, key=lambda each: (each.id in main, each.id))
    ]
    return Tree(
        tuple(nodes),
        tuple(sorted(edges, key=lambda edge: edge.main)),
        tuple(
            Tick(round(LEFT + g / deepest * (WIDTH - LEFT - RIGHT), 1), number(g, 4))
            for g in ticks(0, deepest, 8, whole=True)
        ),
        tuple(
            Tick(
                round(HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1),
                number(y, 4),
            )
            for y in ticks(low, high)
        ),
        objective.name,
    )


def _tip(entry: ProgramEntry, objective: Objective) -> str:
    lines = [
        f"program {entry.id}",
        f"{objective.name} {number(entry.objective)}",
        f"{entry.operator}, generation {entry.generation}",
    ]
    return "\n".join(lines)
