"""`evolve db`: databases as such."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.store.transfer import Copied

app = typer.Typer(no_args_is_help=True)


@app.command()
def copy(
    source: str = typer.Argument(metavar="FROM", help="Database: a file or a URL, as for --db."),
    target: str = typer.Argument(metavar="TO", help="Another one, of either kind."),
    *,
    run: int | None = typer.Option(None, "--run", help="Only this run; default: all."),
    json: bool = render.JSON,
) -> None:
    """Carry runs from one database to another: SQLite or PostgreSQL, in either direction.

    A run is copied whole or not at all, and compared with its source row by row. What could be
    resumed, replayed or exported there can be here. Numbers stay where they are free. A run that
    is in TO already is refused, or left out where all are copied; one that is being written is
    refused. FROM is only read.

    Example: evolve db copy evolve.db postgresql+psycopg://me@host/lab

    JSON: a list of {run_id, copy_id, rows, digest, renumbered}.
    """
    from evolve.store.opening import open_database
    from evolve.store.transfer import copy_of, copy_run, run_ids

    copied: list[Copied] = []
    with (
        closing(open_database(source, create=False, readonly=True)) as origin,
        closing(open_database(target, create=True, readonly=False)) as goal,
    ):
        for number in run_ids(origin) if run is None else [run]:
            known = copy_of(origin, goal, number) if run is None else None
            if known is not None:
                typer.echo(f"run {number} is there already, as run {known}", err=True)
                continue
            copied.append(copy_run(origin, goal, number, time.time()))
            if not json:
                _print(copied[-1])
    if json:
        render.echo_json([asdict(each) for each in copied])


def _print(copied: Copied) -> None:
    rows = ", ".join(f"{count} {table}" for table, count in copied.rows.items() if count)
    typer.echo(f"run {copied.run_id} is run {copied.copy_id} there: {rows}")
    if copied.renumbered:
        typer.echo(f"  program N is program N + {copied.renumbered} there")
    typer.echo(f"  compared row by row: equal, {copied.digest[:16]}")


@app.command()
def upgrade(*, db: str = render.DATABASE) -> None:
    """Bring a database of an older version to the one that this evolve reads.

    Commands that write do so by themselves; those that only read refuse an older database. There
    is no way back: copy a file first if an older evolve still needs it.
    """
    from evolve.store.opening import shown, upgrade_database
    from evolve.store.schema import VERSION

    found = upgrade_database(db)
    if found == VERSION:
        typer.echo(f"{shown(db)}: schema {VERSION} already")
    else:
        before = "an empty database" if found is None else f"schema {found}"
        typer.echo(f"{shown(db)}: {before} became schema {VERSION}")
