"""`evolve compare`: several ways to search, the same seeds and budget, and what that shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evolve.config.file import Loaded
    from evolve.config.models import RunConfig
    from evolve.engine.study import Budget, Planned, Way
    from evolve.stats.study import Report, TaskReport
    from evolve.view.study import Study


CONFIGS = typer.Argument(None, help="Configurations; none: judge the runs that the database holds.")
PRESETS = typer.Option(
    [],
    "--presets",
    metavar="NAMES",
    help="Search each configuration in these ways, such as map_elites,islands.",
)
PROBLEMS = typer.Option(
    [], "--problems", metavar="NAMES", help="On each of these, whatever the files say."
)
SETTINGS = typer.Option(
    [], "--set", metavar="KEY=VALUE", help="Override a key in every configuration."
)
BY = typer.Option(
    "search", "--by", metavar="search|held_out", help="Cases whose score is compared."
)
AGAINST = typer.Option(
    "", "--against", metavar="NAME", help="Compare the others with this one only: more power."
)
TARGET = typer.Option(
    None, "--target", help="Objective that counts as solved; default: the median of all runs."
)
LEVEL = typer.Option(
    0.05, "--level", min=0.0001, max=0.5, help="Chance of any false claim put up with."
)
STUDY = typer.Option(
    "compare.db", "--db", help="Database of the study: a URL, or the path of an SQLite file."
)


def compare(  # noqa: PLR0913, PLR0917 - one parameter per option
    configs: list[str] = CONFIGS,
    presets: list[str] = PRESETS,
    problems: list[str] = PROBLEMS,
    seeds: int = typer.Option(10, "--seeds", min=1, help="Runs of each, with seeds 0 to K-1."),
    evaluations: int = typer.Option(0, "--evaluations", min=0, help="Budget of every run."),
    tokens: int = typer.Option(0, "--tokens", min=0, help="Budget in tokens instead."),
    cost_usd: float = typer.Option(0.0, "--cost-usd", min=0, help="Budget in US dollars instead."),
    settings: list[str] = SETTINGS,
    model: str = typer.Option("", "--model", help="Evolve with this model, see `evolve run`."),
    by: str = BY,
    against: str = AGAINST,
    target: float | None = TARGET,
    level: float = LEVEL,
    html: Path | None = typer.Option(None, "--html", help="Also write the report as a page there."),
    db: str = STUDY,
    json: bool = render.JSON,
) -> None:
    """Compare ways to search: the same seeds, the same budget, and tests that may say "no".

    Runs what is not there yet, one after the other, into one database; the same command goes on
    after Ctrl-C or `kill -9`, and repeats nothing. Every run has the budget as its only stop rule.
    Without CONFIG it judges what the database holds. More seeds find smaller differences: decide
    how many before you look.

    Example: evolve compare quickstart --presets map_elites,greedy --seeds 10 --evaluations 200
    """
    from evolve.store.reader import open_reader
    from evolve.view.study import Asked, read_study

    if by not in {"search", "held_out"}:
        raise typer.BadParameter("it is search or held_out", param_hint="--by")
    names: Sequence[str] = ()
    if configs:
        ways = ways_of(configs, _names(presets), _names(problems), settings, model)
        budget = _budget(evaluations, tokens, cost_usd)
        planned = _planned(ways, seeds, budget)
        names = [each.name for each in planned]
        _search(planned, db)
    with open_reader(db) as reader:
        study = read_study(reader, Asked(by, level, against, target, names))
    if html is not None:
        _write_page(study, html)
    if json:
        render.echo_json(study.as_dict())
        return
    print_study(render.console(), study)


def _write_page(study: Study, file: Path) -> None:
    from evolve.cli.best import writing
    from evolve.view.study_page import study_page

    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(study_page(study), encoding="utf-8")


def _names(given: list[str]) -> list[str]:
    """Return names that were given one by one or with commas between them."""
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def _budget(evaluations: int, tokens: int, cost_usd: float) -> Budget | None:
    """Return the one budget that was given, or None.

    Raises:
        ConfigError: more than one was.
    """
    from evolve.core.errors import ConfigError
    from evolve.engine.study import Budget

    given = [
        Budget("evaluations", evaluations),
        Budget("tokens", tokens),
        Budget("cost_usd", cost_usd),
    ]
    given = [budget for budget in given if budget.amount]
    if len(given) > 1:
        raise ConfigError("give one of --evaluations, --tokens and --cost-usd: the budget is one")
    return given[0] if given else None


def ways_of(
    configs: list[str], presets: list[str], problems: list[str], settings: list[str], model: str
) -> list[Way]:
    """Return what is compared: configurations, presets of one, or either on several problems.

    Raises:
        ConfigError: a file is wrong, or the files are about different problems.
    """
    from evolve.cli.run import load
    from evolve.core.errors import ConfigError
    from evolve.engine.study import Way

    ways: list[Way] = []
    solved: set[str] = set()
    for config in configs:
        for preset in presets or [""]:
            for problem in problems or [""]:
                changed = [*settings, f"problem={_from_here(problem)}"] if problem else settings
                loaded = load(config, changed, model, preset)
                solved.add(_problem(loaded))
                stem = loaded.path.stem
                arm = preset if preset and (len(configs) == 1 or not problems) else stem
                if preset and len(configs) > 1 and problems:
                    arm = f"{stem}+{preset}"
                task = _problem(loaded) if problems else stem
                several = len(problems) > 1 or (len(configs) > 1 and presets and not problems)
                ways.append(Way(f"{task}/{arm}" if several else arm, loaded))
    if len(solved) > 1 and not (problems or presets):
        raise ConfigError(
            f"the configurations solve different problems ({', '.join(sorted(solved))}); name "
            "--problems to run each on, or --presets to compare on each"
        )
    return ways


def _from_here(problem: str) -> str:
    """Return a problem's reference with a folder in it made absolute: it lies where one types."""
    return str(Path(problem).resolve()) if "/" in problem else problem


def _problem(loaded: Loaded[RunConfig]) -> str:
    from evolve.engine.assemble import configured_problem

    return configured_problem(loaded).id


def _planned(ways: list[Way], seeds: int, budget: Budget | None) -> list[Planned]:
    from evolve.engine.study import plan_study

    return plan_study(ways, range(seeds), budget)


def _search(planned: Sequence[Planned], db: str) -> None:
    """Run a study to its end, telling on standard error what is done."""
    from evolve.engine.study import run_study

    if not run_study(planned, db, say=lambda text: typer.echo(text, err=True)):
        typer.echo("interrupted; the same command goes on", err=True)
        raise typer.Exit(130)


def print_study(out: Console, study: Study) -> None:
    """Print a judged study: what is shown, then the tables behind it."""
    report = study.report
    for line in _introduction(study):
        out.print(line, markup=False, soft_wrap=True)
    for sentence in report.verdict:
        out.print(sentence, markup=False, soft_wrap=True)
    for task in report.tasks:
        out.print(_arms(task, report))
    out.print(_pairs(report))
    for pair in report.pairs:
        if not pair.shown:
            sentence = f"{pair.task}: {pair.sentence}" if len(report.tasks) > 1 else pair.sentence
            out.print(sentence, markup=False, soft_wrap=True)
    out.print(_scores(report))


def _introduction(study: Study) -> Iterator[str]:
    report, budget = study.report, study.budget
    seeds = ", ".join(f"{len(task.seeds)} seeds of {task.task}" for task in report.tasks)
    yield f"{len(report.arms)} ways, {seeds}; {budget.amount:g} {budget.unit} each"
    if report.incomplete:
        yield f"{report.incomplete} runs are left out: their seed is not finished for all"
    if study.unfinished:
        yield f"not finished: {', '.join(study.unfinished)}"


def _arms(task: TaskReport, report: Report) -> RenderableType:
    title = f"{task.task}: {task.objective.name} ({task.objective.direction}), {report.rules.by}"
    heads = ("arm", ">median", ">q1", ">q3", ">95 % low", ">high", ">mean best so far")
    marks = [f">reached {task.target:.4g} at {each.budget:g}" for each in task.arms[0].solved]
    rows = [
        (
            each.arm,
            each.final.median,
            each.final.q1,
            each.final.q3,
            each.final.low,
            each.final.high,
            each.area.median,
            *(f"{solved.hits} of {solved.n}" for solved in each.solved),
        )
        for each in task.arms
    ]
    return render.table(title, (*heads, *marks), rows)


def _pairs(report: Report) -> RenderableType:
    heads = (
        "first against second",
        ">better",
        ">worse",
        ">difference",
        ">95 % low",
        ">high",
        ">p",
        ">p (Holm)",
        ">A12",
        "shown",
        ">could show",
    )
    several = len(report.tasks) > 1
    rows = [
        (
            f"{pair.task}: {pair.first} - {pair.second}"
            if several
            else f"{pair.first} - {pair.second}",
            pair.paired.wins,
            pair.paired.losses,
            pair.paired.difference,
            pair.paired.low,
            pair.paired.high,
            f"{pair.paired.p:.2g}",
            f"{pair.adjusted:.2g}",
            f"{pair.paired.a12:.2f}",
            "yes" if pair.shown else "no",
            None if pair.detectable is None else f"{pair.detectable:.2g}",
        )
        for pair in report.pairs
    ]
    return render.table("pairs, seed by seed; a positive difference is better", heads, rows)


def _scores(report: Report) -> RenderableType:
    ranks = report.ranks
    heads = ("arm", ">profile score", *((">mean rank",) if ranks else ()))
    rows = [
        (arm, f"{report.scores[arm]:.3f}", *((f"{ranks.ranks[number]:.2f}",) if ranks else ()))
        for number, arm in enumerate(report.arms)
    ]
    title = "how soon the target is reached: area under the performance profile, 0 to 1"
    if ranks:
        title += f"; Friedman p = {ranks.p:.2g}, critical difference of ranks {ranks.critical:.2f}"
    return render.table(title, heads, rows)
