"""`evolve config`: check, show and document configuration files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from evolve.cli import render
from evolve.cli.run import PRESET, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evolve.config.archive import ArchiveConfig, MeasureConfig
    from evolve.config.file import LoadedConfig
    from evolve.config.models import IslandsConfig, ModelConfig
    from evolve.config.problem import Problem
    from evolve.core.measures import Measure

app = typer.Typer(no_args_is_help=True)

_FILE = typer.Argument(
    ..., metavar="FILE", help="Configuration file, the name of a bundled one, or a problem."
)
_SET = typer.Option([], "--set", metavar="KEY=VALUE", help="Override a key; repeatable.")


@app.command()
def check(file: str = _FILE, settings: list[str] = _SET, preset: str = PRESET) -> None:
    """Check a configuration, its problem and every name and option in it.

    No server and no container engine is contacted, and no program or evaluator is run. What this
    machine lacks is only noted. Exit code 2 when something is wrong.
    """
    loaded = load(file, settings, preset=preset)
    problem, notes = _resolve(loaded)
    config = loaded.config
    axes = config.archive.measures or problem.measures
    rows = [
        ("problem", f"{problem.id}: {problem.title}"),
        ("objective", f"{problem.objective.direction} {problem.objective.name}"),
        ("archive", _archive(config.archive, axes)),
        ("preset", config.preset or "none: the defaults"),
        ("selection", config.selection.kind),
        ("islands", _islands(config.islands)),
        ("proposers", ", ".join(f"{each.kind} ({each.weight:g})" for each in config.proposers)),
        ("models", ", ".join(model.id for model in config.models)),
        ("hooks", ", ".join(hook.kind for hook in config.hooks)),
        ("sandbox", config.sandbox.kind),
        ("slots", config.slots),
        (
            "stop",
            ", ".join(f"{k}={v}" for k, v in config.stop.model_dump(exclude_none=True).items()),
        ),
    ]
    out = render.console()
    out.print(render.facts(rows))
    for note in notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    out.print(f"OK: {loaded.path}", markup=False, soft_wrap=True)


@app.command()
def show(
    file: str = _FILE,
    settings: list[str] = _SET,
    preset: str = PRESET,
    json: bool = render.JSON,
) -> None:
    """Show a configuration with every default filled in, as YAML that loads again.

    JSON: {path, name, hash, config}; config holds every key of `evolve config schema`.
    """
    from evolve.config.file import config_hash, dump_yaml

    loaded = load(file, settings, preset=preset)
    if not json:
        sys.stdout.write(dump_yaml(loaded.config))
        return
    render.echo_json(
        {
            "path": str(loaded.path),
            "name": loaded.config.name or loaded.path.stem,
            "hash": config_hash(loaded.config),
            "config": loaded.config.model_dump(mode="json"),
        }
    )


@app.command("presets")
def list_presets(json: bool = render.JSON) -> None:
    """List the named ways to search, for `preset:` in a file and `evolve run --preset`.

    JSON: {name: what it is}.
    """
    from evolve.config.presets import presets

    found = presets()
    if json:
        render.echo_json(found)
    else:
        render.console().print(render.table("", ("preset", "what it is"), list(found.items())))


@app.command()
def schema(
    problem: bool = typer.Option(False, "--problem", help="Of problem.yaml instead."),
) -> None:
    """Print the JSON Schema of configuration files, for editors."""
    from evolve.config.models import RunConfig
    from evolve.config.problem_file import ProblemConfig

    render.echo_json((ProblemConfig if problem else RunConfig).model_json_schema())


def _resolve(loaded: LoadedConfig) -> tuple[Problem, list[str]]:
    """Find everything a configuration names; return its problem and what this machine lacks."""
    from evolve.config.problem import load_problem
    from evolve.core.errors import PrerequisiteError
    from evolve.engine.archives import configured_archive
    from evolve.engine.assemble import check_language, configured_problem, policy_of
    from evolve.engine.isolation import specify_sandbox
    from evolve.llm.prices import check_prices, quotes
    from evolve.propose.portfolio import open_proposers

    config, folder = loaded.config, loaded.folder
    with loaded.at("problem"):
        problem = load_problem(config.problem, folder)
    check_language(loaded, problem)
    notes = _missing_for_slots(loaded, problem)
    for index, model in enumerate(config.models):
        with loaded.at("models", index, "id"):
            notes += _open_model(model, folder)
    with loaded.at("stop", "cost_usd"):
        check_prices(quotes(config.models), config.stop.cost_usd)
    models = [model.id for model in config.models]
    if len(set(models)) < len(models):
        raise loaded.error("two models have the same id", "models")
    portfolios = []
    for index, proposer in enumerate(config.proposers):
        with loaded.at("proposers", index):
            portfolios.append(open_proposers([proposer], models, folder))
    with loaded.at("selection"):
        policy_of(config, folder)
    with loaded.at("sandbox"):
        arbitrary = any(portfolio.arbitrary_code for portfolio in portfolios)
        try:
            specify_sandbox(config.sandbox, arbitrary_code=arbitrary, folder=folder).make()
        except PrerequisiteError as error:
            notes.append(str(error))
    with loaded.at("archive"):
        try:
            configured_archive(loaded, configured_problem(loaded))
        except PrerequisiteError as error:
            notes.append(str(error))
    return problem, [*notes, *_missing_for_hooks(loaded)]


def _missing_for_hooks(loaded: LoadedConfig) -> list[str]:
    """Make the hooks, which opens nothing; return what this machine lacks for them."""
    from evolve.core.errors import PrerequisiteError
    from evolve.engine.hooks.base import open_hooks

    try:
        open_hooks(loaded)
    except PrerequisiteError as error:
        return [str(error)]
    return []


def _missing_for_slots(loaded: LoadedConfig, problem: Problem) -> list[str]:
    """Give slots their CPUs and devices, for a moment; return what this machine lacks for that."""
    from evolve.core.errors import PrerequisiteError
    from evolve.pool.allot import Need, allotted

    if loaded.config.pool.kind == "ray":
        return _missing_for_ray(loaded, problem)
    need = Need(loaded.config.slots, problem.limits, problem.timed)
    try:
        with loaded.at("pool"), allotted(need, loaded.config.pool) as allotment:
            return list(allotment.notes)
    except PrerequisiteError as error:
        return [str(error)]


def _missing_for_ray(loaded: LoadedConfig, problem: Problem) -> list[str]:
    """Return what this machine lacks to use a cluster, without asking it."""
    from importlib.util import find_spec

    from evolve.engine.slots import reservation

    with loaded.at("pool"):
        reservation(loaded.config.pool, problem)
    if find_spec("ray") is None:
        return ["`pool: {kind: ray}` needs Ray: pip install 'evolve-engine[ray]'"]
    return []


def _archive(config: ArchiveConfig, axes: Sequence[MeasureConfig | Measure]) -> str:
    """Say in one line what cells are and what they hold."""
    if config.kind == "grid":
        names = [
            f"{axis.name} ({axis.cells}{'' if axis.scale == 'linear' else f', {axis.scale}'})"
            for axis in axes
        ]
        parts = [f"grid, {' x '.join(names)}"]
    else:
        parts = [f"{config.kind}, {' x '.join(axis.name for axis in axes)}"]
    if config.cells:
        parts.append(f"{config.cells} cells")
    if config.objectives:
        parts.append(f"fronts over {', '.join(each.name for each in config.objectives)}")
    if config.depth:
        parts.append(f"{config.depth} elites in a cell")
    return "; ".join(parts)


def _islands(config: IslandsConfig) -> str:
    """Say in one line how many islands there are and what happens between them."""
    migration, reset, spawn = config.migration, config.reset, config.spawn
    parts = [f"{config.count}"]
    if config.count > 1:
        parts[0] += f", {config.topology}, {config.allocation}"
    if migration.interval:
        parts.append(f"migration every {migration.interval} evaluations")
    if migration.stagnation:
        parts.append(f"migration to islands without progress for {migration.stagnation}")
    if reset.interval:
        parts.append(f"reset of the worst {reset.fraction:.0%} every {reset.interval}")
    if spawn.stagnation:
        parts.append(f"up to {spawn.limit} by stagnation for {spawn.stagnation}")
    return "; ".join(parts)


def _open_model(model: ModelConfig, folder: Path) -> list[str]:
    """Open and close one model, which contacts nobody; return what it lacks here."""
    import anyio

    from evolve.core.errors import PrerequisiteError
    from evolve.llm.registry import open_models

    async def once() -> None:
        async with open_models([model], folder):
            pass

    try:
        anyio.run(once)
    except PrerequisiteError as error:
        return [str(error)]
    return []
