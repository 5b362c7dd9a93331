"""The `evolve` command: its groups of commands, and how errors become exit codes."""

from __future__ import annotations

import sys

import typer

from evolve.cli import (
    best,
    compare,
    config,
    db,
    doctor,
    evaluate,
    export,
    human,
    image,
    importing,
    inspect,
    maps,
    models,
    plan,
    plot,
    problem,
    program,
    render,
    replay,
    rescore,
    run,
    view,
)

EPILOG = (
    "Exit codes: 0 done (a budget that was reached included), 1 run failed, 2 usage or "
    "configuration, 3 environment, 4 seed program invalid, 130 interrupted."
)

app = typer.Typer(
    name="evolve",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Discover algorithms: a language model (or a built-in genetic operator) edits programs, "
    "a sandbox runs them, a trusted scorer judges them, and an archive keeps the best of every "
    "kind.\n\nStart with: evolve run quickstart",
    epilog=EPILOG,
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("ls")(inspect.ls)
app.command("show")(inspect.show)
app.command("best")(best.best)
app.add_typer(export.app, name="export", help="Write what a run holds for other tools.")
app.command("heatmap")(maps.heatmap)
app.command("plot")(plot.plot)
app.command("remap")(maps.remap)
app.command("view")(view.view)
app.command("program")(program.program)
app.command("replay")(replay.replay)
app.command("hint")(human.hint)
app.command("submit")(human.submit)
app.command("rescore")(rescore.rescore)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(problem.app, name="problem", help="Make, check, list and show problems.")
app.add_typer(config.app, name="config", help="Check, show and document configuration files.")
app.add_typer(image.app, name="image", help="Make, list and remove sandbox images.")
app.command("import")(importing.import_)
app.add_typer(db.app, name="db", help="Copy runs between databases; upgrade older ones.")
app.command("models")(models.models)
app.command("doctor")(doctor.doctor)


def _version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        from importlib.metadata import version

        typer.echo(f"evolve {version('evolve-engine')}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Hold the options of `evolve` itself."""


def main() -> None:
    """Run the command line; errors raised on purpose are printed without a traceback.

    Ctrl-C (exit code 130) and readers that go away, such as `head` (1), are typer's business.
    """
    from evolve.core.errors import EvolveError

    try:
        app(prog_name="evolve")
    except EvolveError as error:
        render.echo(f"error: {error}", stderr=True)
        sys.exit(error.exit_code)
