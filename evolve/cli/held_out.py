"""How the best programs of a run did on cases that selection never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord

#: Rows shown: the newest.
SHOWN = 8


def print_held_out(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the generalisation gap along the run, and a warning where it grows."""
    from evolve.engine.aside import gap, growing_gap

    points = reader.held_out(run.id)
    if len(points) < 2:
        return
    columns = (">evaluations", ">program", ">search", ">held-out", ">gap")
    rows = [
        (each.evaluations, each.program_id, each.search, each.held_out, gap(each, run.objective))
        for each in points[-SHOWN:]
    ]
    out.print(render.table("held-out cases along the run", columns, rows))
    if warning := growing_gap(points, run.objective):
        out.print(f"warning: {warning}", markup=False, soft_wrap=True)
