"""How values look on a terminal; shared by every command."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from evolve.core.visible import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evolve.core.estimates import Estimate
    from evolve.engine.reexecute import Moved

DEFAULT_DATABASE = "sqlite:///evolve.db"
#: The option every command that opens a database has.
DATABASE = typer.Option(
    DEFAULT_DATABASE,
    "--db",
    envvar="EVOLVE_DB",
    help="Database: the path of an SQLite file, sqlite:///FILE, or "
    "postgresql+psycopg://USER@HOST/DATABASE (passwords: PGPASSWORD or ~/.pgpass).",
)
#: The option every reading command has.
JSON = typer.Option(False, "--json", help="Print JSON with stable keys instead of a table.")

#: Columns of a map: as few as it can be drawn in, and as many as can be looked at at once.
NARROWEST, WIDEST = 48, 160


def console(*, stderr: bool = False) -> Console:
    """Return a console that neither wraps nor highlights what it is given.

    What programs, models and evaluators wrote is shown, never obeyed: control characters become
    visible ones.
    """
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class _Harmless(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                shown = segment.text if segment.control else visible(segment.text)
                yield segment if shown == segment.text else Segment(shown, segment.style)

    return _Harmless(stderr=stderr, highlight=False, soft_wrap=True)


def echo(text: str, *, stderr: bool = False) -> None:
    """Print ``text`` and a new line if it lacks one: harmless to a terminal, else as it is."""
    stream = sys.stderr if stderr else sys.stdout
    line = text if text.endswith("\n") else f"{text}\n"
    typer.echo(visible(line) if stream.isatty() else line, nl=False, err=stderr)


def colored(out: Console) -> bool:
    """Return whether colours will be seen on ``out``."""
    return out.color_system is not None and not out.no_color


def map_width(out: Console) -> int:
    """Return the columns that a map may take on ``out``: those there are, within reason."""
    return max(NARROWEST, min(out.width, WIDEST))


def _text_of(value: object) -> str:
    """Return what JSON has no word for; files, which are images, in base64."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def echo_json(value: object) -> None:
    """Print ``value`` as indented JSON; numbers that JSON lacks become null."""
    echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, default=_text_of))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """Return a plain table; a column whose name starts with ``>`` is aligned to the right.

    Numbers are never shortened, nor is the first column: it holds what a reader types next.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    cells = [[text(cell) for cell in row] for row in rows]
    for number, column in enumerate(columns):
        head, is_number = column.lstrip(">"), column.startswith(">")
        entire = number == 0 or is_number
        result.add_column(
            head,
            justify="right" if is_number else "left",
            min_width=max(map(len, [head, *(row[number] for row in cells)])) if entire else None,
        )
    for row in cells:
        result.add_row(*map(Text, row))
    return result


def facts(rows: Iterable[tuple[str, object]]) -> RenderableType:
    """Return names and values in two columns."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(name), Text(text(value)))
    return grid


def text(value: object) -> str:
    """Return a cell's text: numbers to six significant digits, nothing as a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def estimate(known: Estimate | None) -> str:
    """Return a number, and where it varies half its 95 % interval: 0.713 ± 0.012 (n=8)."""
    if known is None or known.n < 2:
        return text(None if known is None else known.mean)
    width = known.half_width()
    return f"{known.mean:.6g} ± {text(width) if width is None else f'{width:.2g}'} (n={known.n})"


def duration(seconds: float | None) -> str:
    """Return ``seconds`` in two units at most."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{seconds:.0f}s"


def counts(values: Mapping[str, int]) -> str:
    """Return counts by kind, most frequent first."""
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in ordered) or "none"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def print_moved(out: Console, moved: Sequence[Moved], listed: int) -> None:
    """Print the first of the programs whose evaluation came out differently."""
    if not moved:
        return
    heads = (">program", "outcome", ">objective", "outcome again", ">objective again")
    rows = [
        (m.program, m.outcome, m.objective, m.outcome_again, m.objective_again)
        for m in moved[:listed]
    ]
    out.print(table(f"{len(moved)} scores moved", heads, rows))
    if len(moved) > listed:
        out.print(f"{len(moved) - listed} more: --json lists all", markup=False)
