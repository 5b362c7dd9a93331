"""`evolve best`: the best program of a run, as a file, a folder, or with its ancestry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render
from evolve.cli.inspect import RUN

if TYPE_CHECKING:
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord


def best(
    run: str = RUN,
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        help="Write the program there: a file, or a folder for several.",
    ),
    select: str = typer.Option(
        "",
        "--select",
        metavar="RULE",
        help="How to choose: objective, or b4, codet, max_pass, mutual, which go by who passes "
        "which case, for cases that may be wrong. Default: as the problem says.",
    ),
    git: Path | None = typer.Option(
        None,
        "--git",
        metavar="DIR",
        help="Write its ancestry there as a git repository, a commit for every ancestor.",
    ),
    construction: Path | None = typer.Option(
        None, "--construction", metavar="FILE", help="In mode search: write what it built, JSON."
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Print the best program of a run, or write it to a file, or with all its ancestors.

    JSON: {id, hash, objective, measures, operator, generation, files}.
    """
    from evolve.core.errors import StoreError
    from evolve.store.reader import open_reader
    from evolve.view.report import reported_entry

    with open_reader(db) as reader:
        record = reader.search(run)
        entry = reported_entry(reader, record, select)
        if entry is None:
            raise StoreError(f"run {record.id} has no program with a score yet")
        program = reader.program(entry.id).program
        if git is not None:
            from evolve.view.export.git import export_git

            commits = export_git(reader, record, entry.id, git)
            typer.echo(f"wrote {git}: {commits} commits", err=True)
        if construction is not None:
            _write_construction(reader, record, entry.id, construction)
    if output is not None:
        for path in write_files(dict(program.files), output):
            typer.echo(f"wrote {path}", err=True)
    if json:
        keys = ("id", "hash", "objective", "measures", "operator", "generation")
        render.echo_json({key: getattr(entry, key) for key in keys} | {"files": program.files})
    elif output is None and git is None and construction is None:
        for name, text in program.files.items():
            if len(program.files) > 1:
                typer.echo(f"# {name}")
            render.echo(text)


def _write_construction(reader: Reader, record: RunRecord, program: int, file: Path) -> None:
    """Write what a program built, by case."""
    from evolve.core.errors import StoreError

    built = reader.constructions.of(program, record.problem_hash)
    if built is None:
        raise StoreError(f"run {record.id} keeps no constructions: its problem has no mode: search")
    with writing(file):
        file.write_text(built.constructions + "\n", encoding="utf-8")
    typer.echo(f"wrote {file}", err=True)


def write_files(files: dict[str, str], output: Path) -> list[Path]:
    """Write one file as ``output`` itself, several into the folder ``output``."""
    if len(files) == 1 and not output.is_dir():
        paths = {output: next(iter(files.values()))}
    else:
        paths = {output / name: text for name, text in files.items()}
    for file, text in paths.items():
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
    return list(paths)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Explain why ``path`` cannot be written, if it cannot."""
    from evolve.core.errors import PrerequisiteError

    try:
        yield
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}; name another place"
        raise PrerequisiteError(message) from error
