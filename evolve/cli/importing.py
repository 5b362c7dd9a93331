"""`evolve import`: a problem folder out of one that was written for another project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.config.foreign.importing import Kind


def import_(
    path: Path = typer.Argument(..., help="The folder with evaluator and program, or the task."),
    output: Path = typer.Option(..., "--output", "-o", metavar="DIR", help="The folder to make."),
    kind: str | None = typer.Option(
        None,
        "--kind",
        help="openevolve, shinka, alphaevolve or harbor; default: by what is in the folder.",
    ),
    evaluator: str | None = typer.Option(None, "--evaluator", help="The evaluator's file."),
    program: str | None = typer.Option(None, "--program", help="The initial program's file."),
    metric: str | None = typer.Option(None, "--metric", help="The number to maximise."),
    json: bool = render.JSON,
) -> None:
    """Make a problem out of an evaluator written for OpenEvolve, SkyDiscover, ShinkaEvolve, ...

    openevolve: evaluate(program_path) and its stages, as SkyDiscover calls them too. shinka:
    evaluate.py --program_path P --results_dir D. alphaevolve: --program-dir D --output-file F.
    harbor: a task with task.toml and tests/test.sh; --program is a file of it. The evaluator runs
    unchanged, wholly inside the sandbox, and so its scores are marked forgeable.

    JSON: {folder, kind, evaluator, program, entrypoint, metric, packages, files, notes}; of a
    harbor task entrypoint is null and place is where the task has the program.

    Example: evolve import openevolve/examples/circle_packing -o circles
    """
    from evolve.config.foreign.importing import import_problem, look_at
    from evolve.core.errors import ConfigError

    if kind not in (None, "openevolve", "shinka", "alphaevolve", "harbor"):
        raise ConfigError(f"no kind '{kind}'; there are openevolve, shinka, alphaevolve and harbor")
    if kind == "harbor" or (kind is None and (path / "task.toml").is_file()):
        _import_task(path, output, program=program, metric=metric, json=json)
        return
    found = look_at(
        path,
        kind=cast("Kind | None", kind),
        evaluator=evaluator,
        program=program,
        metric=metric,
    )
    files = import_problem(found, output)
    facts = {
        "kind": found.kind,
        "evaluator": found.evaluator.name,
        "program": found.program.name,
        "entrypoint": found.entrypoint,
        "metric": found.metric,
    }
    _tell(output, facts, files, found.notes, found.packages, json=json)


def _import_task(
    path: Path, output: Path, *, program: str | None, metric: str | None, json: bool
) -> None:
    from evolve.config.foreign.harbor import import_task, look_at_task

    task = look_at_task(path, program=program, metric=metric)
    files = import_task(task, output)
    facts = {
        "kind": "harbor",
        "evaluator": "tests/test.sh",
        "program": task.program.name,
        "entrypoint": None,
        "place": task.place or None,
        "metric": task.metric,
    }
    _tell(output, facts, files, task.notes, (), json=json)


def _tell(
    output: Path,
    facts: Mapping[str, str | None],
    files: Sequence[Path],
    notes: Sequence[str],
    packages: Sequence[str],
    *,
    json: bool,
) -> None:
    """Say what was found and made."""
    if json:
        shown = [file.name for file in files]
        more = {"packages": list(packages), "files": shown, "notes": list(notes)}
        render.echo_json({"folder": str(output), **facts, **more})
        return
    render.console().print(render.facts([*facts.items(), ("imports", ", ".join(packages) or None)]))
    for note in notes:
        render.echo(f"note: {note}")
    where = str(output) if output.is_absolute() else f"./{output}"
    render.echo("scores are forgeable: the evaluator runs beside the program it judges")
    render.echo(f"next: evolve evaluate {where} {where}/{facts['program']}")
