"""Pieces of HTML for notebooks: escaped, self-contained, without scripts, styles or links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from evolve.core.visible import visible

#: Characters shown of a cell, and of a source.
_CELL, _SOURCE = 200, 20_000


def text(value: object, limit: int = _CELL) -> str:
    """Return a value as escaped text: numbers short, long texts cut, nothing as a dash."""
    if value is None or value == "":
        return "\N{EN DASH}"
    shown = f"{value:.6g}" if isinstance(value, float) else visible(str(value))
    return escape(shown if len(shown) <= limit else f"{shown[:limit]} \N{HORIZONTAL ELLIPSIS}")


def block(*parts: str) -> str:
    """Return parts below one another."""
    return f"<div>{''.join(parts)}</div>"


def heading(line: str) -> str:
    """Return a line that stands out."""
    return f"<p><b>{text(line)}</b></p>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Return names and values; those without a value are left out."""
    lines = [f"{text(name)}: {text(value)}" for name, value in rows if value not in {None, ""}]
    return f"<p>{'<br>'.join(lines)}</p>"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def source(path: str, content: str) -> str:
    """Return a source file below its path."""
    return f"<p><code>{text(path)}</code></p><pre>{text(content, _SOURCE)}</pre>"
