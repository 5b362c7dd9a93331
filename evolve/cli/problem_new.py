"""`evolve problem new`: a problem folder that works as it is."""

from __future__ import annotations

from pathlib import Path

import typer

from evolve.cli import render


def new(
    name: Path = typer.Argument(..., help="The folder to make; its name is the problem's."),
    template: str = typer.Option(
        "heuristic",
        "--template",
        metavar="NAME",
        help="What it is about: math, search, formula, heuristic, code, optimizer, kernel, or "
        "any-language.",
    ),
    json: bool = render.JSON,
) -> None:
    """Write a new problem: seed program, evaluator, prompt, measures, tests, README.

    It runs as it is; change it step by step into yours. math: a construction, verified exactly.
    search: a heuristic that improves on the best one so far. formula: one for every size.
    heuristic: a rule that is asked decision by decision. code: a function to make faster.
    optimizer: an update rule for training. kernel: a timed array kernel. any-language: C++.

    JSON: {folder, template, files}.

    Example: evolve problem new my_problem --template math
    """
    from evolve.config.problem_new import TEMPLATES, make_problem

    files = make_problem(name, template)
    if json:
        shown = [str(file.relative_to(name)) for file in files]
        render.echo_json({"folder": str(name), "template": template, "files": shown})
        return
    where = str(name) if name.is_absolute() else f"./{name}"
    render.echo(f"{where}: {TEMPLATES[template]}")
    for file in files:
        render.echo(f"  {file.relative_to(name)}")
    render.echo(f"next: evolve problem check {where}, and {where}/README.md")
