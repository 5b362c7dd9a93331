"""The part of `evolve show` about search cases that rotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord
    from evolve.store.sampling import CaseSet


def case_sets(reader: Reader, run: RunRecord) -> tuple[CaseSet, ...]:
    """Return what was measured on each set of cases; nothing where they stay."""
    from evolve.engine.stored import rules_of_run

    rules = rules_of_run(run)
    if rules is None or not rules.rotate:
        return ()
    return reader.case_sets(run.id, rules.rotate, rules.most)


def print_case_sets(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print what was measured on each set of cases, and how much of it was elites at its turn."""
    found = case_sets(reader, run)
    if not found:
        return
    columns = (">set", ">measurements", ">of elites again", ">time")
    rows = [
        (each.epoch, each.measurements, each.again, render.duration(each.wall_s)) for each in found
    ]
    out.print(render.table("search cases that rotate", columns, rows))
