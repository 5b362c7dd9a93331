"""`evolve run`: start or resume a search and show it live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.config.file import Loaded
    from evolve.config.models import RunConfig

JOIN = typer.Option(
    False,
    "--join",
    help="Work on the run together with the other processes that say so, on this machine or "
    "others: one archive, one budget. The first one begins it.",
)
PRESET = typer.Option(
    "",
    "--preset",
    metavar="NAME",
    help="Search this way, see `evolve config presets`, whatever the file says; --set still wins.",
)


def run(  # noqa: PLR0913, PLR0917 - one parameter per option
    config: str = typer.Argument(
        ...,
        help="Configuration file, the name of a bundled one, such as 'quickstart', or a problem: "
        "its bundled name or its folder.",
    ),
    settings: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Override a key, such as --set stop.wall_s=600."
    ),
    model: str = typer.Option(
        "",
        "--model",
        help="Evolve with this model, such as openai/NAME, instead of the operators "
        "the file names: diffs mostly, full rewrites sometimes.",
    ),
    preset: str = PRESET,
    db: str = render.DATABASE,
    new: bool = typer.Option(
        False, "--new", help="Begin a new run even if the database holds this one unfinished."
    ),
    join: bool = JOIN,
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Evaluate the seed program once, print the first prompt and an "
        "estimate, and stop. No model is called, nothing is stored.",
    ),
    json: bool = typer.Option(
        False, "--json", help="Print one JSON object per event, the result last."
    ),
) -> None:
    """Search for better programs, or go on with a search that was stopped.

    Everything is kept in the database as it happens. Ctrl-C once finishes what is in flight and
    saves; twice stops at once. The same command resumes; nothing is evaluated or paid for twice.

    A problem alone is searched by the genetic operator, or by diffs and rewrites of the model that
    --model names, for 200 evaluations; --set and --preset change what they name.

    With --join the same command may be given in several terminals: all work on one run, and it
    goes on while one of them does.

    Example: evolve run quickstart --set seed=3

    Example: evolve run autocorrelation_2 --model openai/NAME
    """
    loaded = load(config, settings, model, preset)
    if dry_run:
        _dry_run(loaded, json=json)
        return
    from evolve.cli.display import observer_for, print_result
    from evolve.engine.run import run as run_search

    with observer_for(json=json) as observer:
        result = run_search(loaded, db=db, observers=[observer], new=new, join=join)
    print_result(result, db=db, json=json)
    if result.status == "interrupted":
        raise typer.Exit(130)


def load(config: str, settings: list[str], model: str = "", preset: str = "") -> Loaded[RunConfig]:
    """Read a configuration file, a bundled configuration or a problem alone, with overrides."""
    from evolve.config.bundled import bundled
    from evolve.config.file import load_problem_run, load_run_config
    from evolve.engine.shorthand import with_model

    path = Path(config)
    if not path.exists() and "/" not in config and not path.suffix:
        path = bundled("configs") / f"{config}.yaml"
        if not path.is_file():
            path = _bundled_problem(config)
    if path.is_dir():
        loaded = load_problem_run(path, settings, preset)
    else:
        loaded = load_run_config(path, settings, preset)
    return with_model(loaded, from_here(model)) if model else loaded


def from_here(model: str) -> str:
    """Return a model's reference with a file in it made absolute: it lies where one types."""
    kind, _, name = model.partition("/")
    program, space, arguments = name.partition(" ")
    if kind == "replay":
        return f"replay/{Path(name).resolve()}"
    if kind == "command" and program.startswith("."):
        return f"command/{Path(program).resolve()}{space}{arguments}"
    return model


def _bundled_problem(name: str) -> Path:
    """Return the folder of a bundled problem, for a name that is no bundled configuration."""
    from evolve.config.bundled import bundled
    from evolve.config.nearest import did_you_mean
    from evolve.core.errors import ConfigError

    folders = {file.parent.name: file.parent for file in bundled("problems").glob("*/problem.yaml")}
    if name not in folders:
        names = sorted({*folders, *(file.stem for file in bundled("configs").glob("*.yaml"))})
        hint = did_you_mean(name, names)
        raise ConfigError(f"'{name}' is no file, bundled configuration or problem{hint}")
    return folders[name]


def _dry_run(loaded: Loaded[RunConfig], *, json: bool) -> None:
    from evolve.engine.dry import dry_run

    preview = dry_run(loaded)
    if json:
        render.echo_json(preview.as_dict())
        return
    out = render.console()
    out.print(f"seed program: {preview.outcome} in {preview.evaluation_s:.2f} s", markup=False)
    for name, value in preview.numbers.items():
        out.print(f"  {name}: {render.text(value)}", markup=False)
    for message in preview.prompt:
        out.rule(f"first prompt: {message.role}")
        out.print(message.content, markup=False, soft_wrap=True)
    out.rule("estimate")
    for line in preview.estimate:
        out.print(line, markup=False, soft_wrap=True)
