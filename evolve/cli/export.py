"""`evolve export`: what a run holds, for other tools. Nothing here writes to the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from typer.core import TyperGroup

from evolve.cli import render
from evolve.cli.inspect import RUN

if TYPE_CHECKING:
    from typer._click import Context  # typer has click inside and exports another class


class _TablesFirst(TyperGroup):
    """Takes `evolve export RUN` for `evolve export tables RUN`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put the usual command in where none is named."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["tables", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, cls=_TablesFirst)

FORCE = typer.Option(False, "--force", help="Replace an earlier export of that name.")


@app.command()
def tables(
    run: str = RUN,
    output: Path = typer.Option(
        ..., "-o", "--output", metavar="DIR", help="Where to: a folder that is not there yet."
    ),
    format: Literal["parquet", "csv", "jsonl"] = typer.Option(
        "csv", "--format", help="Format of the files; parquet needs the extra 'export'."
    ),
    texts: bool = typer.Option(
        True,
        "--texts/--no-texts",
        help="With sources, prompts, replies and feedback in full, or without.",
    ),
    force: bool = FORCE,
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Write programs, evaluations, cases, proposals, model calls and archive events as tables.

    `evolve export RUN` is short for this. A README.md beside the files says what every column
    means, schema.json the same for programs. All tables are as of one moment of the run.

    Example: evolve export latest --format parquet -o run

    JSON: {folder, format, rows}.
    """
    from evolve.store.reader import open_reader
    from evolve.view.export.tables import export_tables

    with open_reader(db) as reader:
        record = reader.run(run)
        rows = export_tables(reader, record, output, format, long=texts, force=force)
    if json:
        render.echo_json({"folder": str(output), "format": format, "rows": rows})
        return
    out = render.console()
    out.print(render.table("", ("table", ">rows"), list(rows.items())))
    out.print(f"wrote {output}", markup=False, soft_wrap=True)
