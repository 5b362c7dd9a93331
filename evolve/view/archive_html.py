"""An archive as a picture in HTML: one SVG, without scripts, styles or links."""

from __future__ import annotations

from collections.abc import Iterable

from evolve.archive.base import Archive
from evolve.core.html import block, text
from evolve.core.measures import Objective
from evolve.view.heatmap import describe
from evolve.view.web.maps import Map, lay_out

_INK, _BEST = "#808080", "#ff3030"


def archive_map(archive: Archive, objective: Objective) -> str:
    """Return an archive along its first two measures as a picture with what it is about."""
    laid = lay_out(archive, objective)
    notes = [f"{objective.name} ({objective.direction}): {describe(archive)}", *laid.notes]
    scale = f"colours from {laid.worst} to {laid.top}" if laid.marks else ""
    return block(_svg(laid), f"<p>{'<br>'.join(map(text, filter(None, [*notes, scale])))}</p>")


def _svg(laid: Map) -> str:
    """Return the picture; it takes its text's colour from the page, dark or light."""
    right, bottom = laid.left + laid.across, laid.upper + laid.up
    parts = [
        f'<rect x="{laid.left}" y="{laid.upper}" width="{laid.across}" height="{laid.up}" '
        f'fill="none" stroke="{_INK}"/>',
        *_marks(laid),
        *(_label(tick.at, bottom + 14, "middle", tick.label) for tick in laid.x_ticks),
        *(_label(laid.left - 4, tick.at + 4, "end", tick.label) for tick in laid.y_ticks),
        _label((laid.left + right) / 2, bottom + 32, "middle", laid.x_label),
        f'<text transform="translate(12 {(laid.upper + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{text(laid.y_label) if laid.y_label else ""}</text>',
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{laid.width}" height="{laid.height}" '
        f'viewBox="0 0 {laid.width} {laid.height}" font-size="11" font-family="sans-serif" '
        f'fill="{_INK}">{"".join(parts)}</svg>'
    )


def _label(x: float, y: float, anchor: str, label: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text(label)}</text>'


def _marks(laid: Map) -> Iterable[str]:
    """Yield cells, or points, each with its program and values as a tip; the best is ringed."""
    for mark in laid.marks:
        tip = f"<title>{text(mark.tip)}</title>"
        if laid.cell is None:
            place = f'cx="{mark.x}" cy="{mark.y}" r="4"'
            yield f'<circle {place} fill="{mark.color}">{tip}</circle>'
        else:
            width, height = laid.cell
            yield (
                f'<rect x="{mark.x}" y="{mark.y}" width="{width}" height="{height}" '
                f'fill="{mark.color}">{tip}</rect>'
            )
    if laid.best is not None:
        x, y = laid.best
        yield f'<circle cx="{x}" cy="{y}" r="5" fill="none" stroke="{_BEST}" stroke-width="2"/>'
