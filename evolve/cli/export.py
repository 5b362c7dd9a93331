"""`evolve export`: what a run holds, for other tools. Nothing here writes to the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from typer.core import TyperGroup

from evolve.cli import render
from evolve.cli.inspect import ARCHIVE, RUN

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
        record = reader.search(run)
        rows = export_tables(reader, record, output, format, long=texts, force=force)
    if json:
        render.echo_json({"folder": str(output), "format": format, "rows": rows})
        return
    out = render.console()
    out.print(render.table("", ("table", ">rows"), list(rows.items())))
    out.print(f"wrote {output}", markup=False, soft_wrap=True)


@app.command()
def ribs(
    run: str = RUN,
    output: Path = typer.Option(
        ..., "-o", "--output", metavar="FILE", help="Where to: a file such as archive.npz."
    ),
    archive: str | None = ARCHIVE,
    island: int | None = typer.Option(None, "--island", min=0, help="Of one island only."),
    force: bool = FORCE,
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Write an archive as plain arrays that a pyribs archive is made from.

    Example: evolve export ribs latest -o archive.npz

    JSON: {file, kind, elites}.
    """
    from evolve.store.reader import open_reader
    from evolve.view.export.place import new_file
    from evolve.view.ribs import ribs_data, save_ribs

    with open_reader(db) as reader:
        data = ribs_data(reader, reader.search(run), archive, island)
    with new_file(output, force=force) as path:
        save_ribs(data, path)
    if json:
        elites = len(data.solution)
        render.echo_json({"file": str(output), "kind": data.kind, "elites": elites})
    else:
        typer.echo(f"wrote {output}: {len(data.solution)} elites", err=True)


@app.command()
def preferences(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: str = RUN,
    output: Path = typer.Option(
        ..., "-o", "--output", metavar="FILE", help="Where to: a file such as pairs.jsonl."
    ),
    kind: Literal["both", "correctness", "speed"] = typer.Option(
        "both", "--kind", help="Which pairs."
    ),
    margin: float = typer.Option(
        0.0, "--margin", min=0.0, help="correctness: the score must be better by more than this."
    ),
    speedup: float = typer.Option(
        1.2, "--speedup", min=1.0, help="speed: at least so many times less CPU time."
    ),
    per_group: int = typer.Option(
        4, "--per-group", min=1, help="Pairs of a kind from one parent and operator, at most."
    ),
    dedup: bool = typer.Option(
        True, "--dedup/--no-dedup", help="Use a reply of the same text once in a group."
    ),
    same_prompt: bool = typer.Option(
        False, "--same-prompt", help="Only pairs of replies to literally the same prompt."
    ),
    force: bool = FORCE,
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Write pairs of a better and a worse reply to one task, for fine-tuning on preferences.

    JSON lines with prompt, chosen and rejected as TRL's DPO trainer reads them. The replies are
    about the same parent, by the same operator. The same database gives the same file.

    Example: evolve export preferences latest -o pairs.jsonl --margin 0.01

    JSON: {file, pairs, answers}.
    """
    from evolve.store.reader import open_reader
    from evolve.view.export.place import new_file
    from evolve.view.export.preferences import KINDS, Rules, export_preferences

    rules = Rules(
        KINDS if kind == "both" else (kind,), margin, speedup, per_group, dedup, same_prompt
    )
    with open_reader(db) as reader, new_file(output, force=force) as path:
        counts = export_preferences(reader, reader.search(run), path, rules)
    if json:
        render.echo_json({"file": str(output), **counts})
        return
    rows = [(f"pairs of {kind}", count) for kind, count in counts["pairs"].items()]
    rows += [(f"answers: {why}".replace("_", " "), n) for why, n in counts["answers"].items()]
    out = render.console()
    out.print(render.table("", ("", ">count"), rows))
    out.print(f"wrote {output}", markup=False, soft_wrap=True)
