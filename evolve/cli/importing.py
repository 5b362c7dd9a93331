"""`evolve import`: a problem folder out of one that was written for another project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.config.foreign.importing import Kind


def import_(
    path: Path = typer.Argument(..., help="The folder with the evaluator and initial program."),
    output: Path = typer.Option(..., "--output", "-o", metavar="DIR", help="The folder to make."),
    kind: str | None = typer.Option(
        None, "--kind", help="openevolve, shinka or alphaevolve; default: by the evaluator's text."
    ),
    evaluator: str | None = typer.Option(None, "--evaluator", help="The evaluator's file."),
    program: str | None = typer.Option(None, "--program", help="The initial program's file."),
    metric: str | None = typer.Option(None, "--metric", help="The number to maximise."),
    json: bool = render.JSON,
) -> None:
    """Make a problem out of an evaluator written for OpenEvolve, SkyDiscover, ShinkaEvolve, ...

    openevolve: evaluate(program_path) and its stages, as SkyDiscover calls them too. shinka:
    evaluate.py --program_path P --results_dir D. alphaevolve: --program-dir D --output-file F. The
    evaluator runs unchanged, wholly inside the sandbox, and so its scores are marked forgeable.

    JSON: {folder, kind, evaluator, program, entrypoint, metric, packages, files, notes}.

    Example: evolve import openevolve/examples/circle_packing -o circles
    """
    from evolve.config.foreign.importing import import_problem, look_at
    from evolve.core.errors import ConfigError

    if kind not in (None, "openevolve", "shinka", "alphaevolve"):
        raise ConfigError(f"no kind '{kind}'; there are openevolve, shinka and alphaevolve")
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
    if json:
        shown = [file.name for file in files]
        more = {"packages": list(found.packages), "files": shown, "notes": list(found.notes)}
        render.echo_json({"folder": str(output), **facts, **more})
        return
    out = render.console()
    out.print(render.facts([*facts.items(), ("imports", ", ".join(found.packages) or None)]))
    for note in found.notes:
        render.echo(f"note: {note}")
    where = str(output) if output.is_absolute() else f"./{output}"
    render.echo("scores are forgeable: the evaluator runs beside the program it judges")
    render.echo(f"next: evolve evaluate {where} {where}/{found.program.name}")
