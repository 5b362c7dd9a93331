"""`evolve rescore`: evaluate a run's programs under a changed evaluator, into a new run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.engine.rescore import Rescored

#: Moved scores listed; --json has all.
LISTED = 20


def rescore(
    run: str = typer.Argument("latest", help="A run: its id, its name, or 'latest'."),
    top: int = typer.Option(
        0, "--top", min=0, help="Also carry over so many of the best programs of the run."
    ),
    everything: bool = typer.Option(False, "--all", help="Carry over all evaluated programs."),
    folder: Path | None = typer.Option(
        None,
        "--folder",
        help="Where the configuration's relative paths start; default: where they did then.",
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Evaluate a run's elites under the evaluator as it is now, and go on from them.

    Scores of two versions of an evaluator are not mixed: the run stays as it is, and a new one
    begins with its seed program and its elites, evaluated anew. `evolve run` with the same
    configuration then goes on with the new run. Killed half-way, the same command carries on.

    Example: evolve rescore latest --top 100

    JSON: {run_id, new_run_id, version, new_version, programs, moved, left, best, new_best}.
    """
    from evolve.engine.rescore import rescore as carry_over
    from evolve.store.store import open_store

    with open_store(db, create=False) as store:
        report = carry_over(store, store.search(run), top=top, everything=everything, folder=folder)
    if json:
        render.echo_json(asdict(report))
    else:
        _print(report)


def _print(report: Rescored) -> None:
    out = render.console()
    old, new = report.run_id, report.new_run_id
    for line in (
        f"run {new} begins with {report.programs} programs of run {old}; {report.left} others were "
        "left there",
        f"evaluator {report.version[:12]} then, {report.new_version[:12]} now",
        f"best {render.text(report.best)} then, {render.text(report.new_best)} now; "
        f"{len(report.moved)} evaluations came out differently",
        f"`evolve run` with the configuration of run {old} goes on with run {new}",
    ):
        out.print(line, markup=False, soft_wrap=True)
    render.print_moved(out, report.moved, LISTED)
