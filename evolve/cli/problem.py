"""`evolve problem`: the problems at hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import problem_check, problem_new, render

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.config.problem import Formula, Problem, Threshold
    from evolve.core.program import Program

app = typer.Typer(no_args_is_help=True)
app.command("new")(problem_new.new)
app.command("check")(problem_check.check)


@app.command("list")
def list_(
    family: str = typer.Option("", "--family", help="Only those of one family, such as packing."),
    json: bool = render.JSON,
) -> None:
    """List the bundled problems: what is improved, a simple method's value and the best known.

    JSON: a list of {id, family, title, objective, direction, baseline, record, source}, null what
    is not known; {id, error} for a problem that cannot be loaded.
    """
    from evolve.config.nearest import did_you_mean
    from evolve.config.problem import list_problems
    from evolve.core.errors import ConfigError

    rows: list[dict[str, object]] = []
    for name, problem in list_problems():
        if isinstance(problem, ConfigError):
            rows.append({"id": name, "error": str(problem)})
        else:
            rows.append(_summary(problem))
    if family:
        known = {str(row.get("family")) for row in rows if row.get("family")}
        if family not in known:
            raise ConfigError(f"'{family}' is no family{did_you_mean(family, sorted(known))}")
        rows = [row for row in rows if row.get("family") == family]
    if json:
        render.echo_json(rows)
        return
    columns = ("id", "family", "improve", ">baseline", ">record", "title")
    listed = sorted(rows, key=lambda row: (str(row.get("family", "~")), str(row["id"])))
    for row in listed:
        row["improve"] = " ".join(str(row.get(key, "")) for key in ("direction", "objective"))
    shown = [[row.get(column.lstrip(">")) for column in columns] for row in listed]
    out = render.console()
    out.print(render.table("", columns, shown))
    for row in listed:
        if row.get("source"):
            out.print(f"record of {row['id']}: {row['source']}", markup=False, soft_wrap=True)
        elif "error" in row:
            out.print(f"{row['id']} cannot be loaded: {row['error']}", markup=False, soft_wrap=True)


@app.command()
def show(
    name: str = typer.Argument(..., help="Name of a bundled problem, or a folder."),
    json: bool = render.JSON,
) -> None:
    """Show everything about one problem: statement, seed program, measures, limits, record.

    JSON: {id, title, folder, hash, statement, entrypoint, command {run, build} or null,
    image {name, dockerfile, base, requirements, system_packages} or null, family,
    evaluator, evaluator_options,
    objective {name, direction, offset}, measures [{name, low, high, cells}], limits,
    mode, formula {weight, nodes, floor_ms} or null, cascade [{cases, no_worse_than, of_parent}],
    record {value, source} or null, baseline {value, source} or null, harness,
    seed_program {path: text}, baselines [{name, files {path: text}}]}.
    """
    from evolve.config.problem import load_problem

    problem = load_problem(name, Path.cwd())
    if json:
        render.echo_json(_everything(problem))
    else:
        _print(problem, render.console())


def _summary(problem: Problem) -> dict[str, object]:
    return {
        "id": problem.id,
        "family": problem.family,
        "title": problem.title,
        "objective": problem.objective.name,
        "direction": problem.objective.direction,
        "baseline": problem.baseline.value if problem.baseline else None,
        "record": problem.record.value if problem.record else None,
        "source": problem.record.source if problem.record else None,
    }


def _everything(problem: Problem) -> dict[str, object]:
    return {
        "id": problem.id,
        "title": problem.title,
        "family": problem.family,
        "folder": str(problem.folder),
        "hash": problem.hash,
        "statement": problem.statement,
        "entrypoint": problem.entrypoint,
        "command": asdict(problem.command) if problem.command else None,
        "image": asdict(problem.image) if problem.image.given else None,
        "evaluator": problem.evaluator,
        "evaluator_options": problem.evaluator_options,
        "objective": asdict(problem.objective),
        "measures": [measure.as_dict() for measure in problem.measures],
        "limits": asdict(problem.limits),
        "mode": problem.mode,
        "formula": asdict(problem.formula) if problem.formula else None,
        "cascade": [asdict(threshold) for threshold in problem.cascade],
        "record": asdict(problem.record) if problem.record else None,
        "baseline": asdict(problem.baseline) if problem.baseline else None,
        "harness": problem.harness,
        "seed_program": dict(problem.seed_program.files),
        "baselines": [
            {"name": baseline.name, "files": dict(baseline.program.files)}
            for baseline in problem.baselines
        ],
    }


def _price(formula: Formula) -> str:
    return f"{formula.weight:g} for {formula.nodes} syntax nodes, or a power that time grows by"


def _print(problem: Problem, out: Console) -> None:
    figures = {"baseline": problem.baseline, "record": problem.record}
    rows = [
        ("family", problem.family),
        ("objective", f"{problem.objective.direction} {problem.objective.name}"),
        ("QD offset", problem.objective.offset),
        ("mode", problem.mode),
        ("price", _price(problem.formula) if problem.formula else None),
        *(
            (name, f"{figure.value:.12g} ({figure.source})")
            for name, figure in figures.items()
            if figure
        ),
        ("entrypoint", problem.entrypoint),
        ("build", " ".join(problem.command.build) if problem.command else None),
        ("run", " ".join(problem.command.run) if problem.command else None),
        ("image", problem.image.contents),
        ("evaluator", problem.evaluator),
        *((f"  {name}", value) for name, value in problem.evaluator_options.items()),
        *((f"after {each.cases} cases", _bound(each)) for each in problem.cascade),
        ("harness", "harness.py" if problem.harness else None),
        ("baselines", ", ".join(baseline.name for baseline in problem.baselines)),
        ("folder", problem.folder),
        ("hash", problem.hash),
    ]
    out.print(f"{problem.id}: {problem.title}\n", markup=False)
    out.print(problem.statement, markup=False, soft_wrap=True)
    out.line()
    out.print(render.facts(rows))
    out.line()
    measures = [
        (axis.name, axis.low, axis.high, axis.cells, axis.scale) for axis in problem.measures
    ]
    out.print(render.table("measures", ("name", ">low", ">high", ">cells", "scale"), measures))
    out.print("limits")
    out.print(render.facts(asdict(problem.limits).items()))
    out.line()
    _print_program(problem.seed_program, out)


def _print_program(program: Program, out: Console) -> None:
    from rich.syntax import Syntax

    for path, text in program.files.items():
        out.rule(f"seed program: {path}", align="left")
        out.print(Syntax(text, Syntax.guess_lexer(path, text)))


def _bound(threshold: Threshold) -> str:
    """Say what a threshold of the cascade asks for."""
    if threshold.no_worse_than is not None:
        return f"no worse than {threshold.no_worse_than:g}"
    return f"no worse than {threshold.of_parent:g} of the parent's"
