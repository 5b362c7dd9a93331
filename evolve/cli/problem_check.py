"""`evolve problem check`: look for what is wrong with a problem before a search does."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.engine.check import Checked
    from evolve.evaluate.check import Finding

_MARKS = {"ok": "[green]ok[/]", "note": "note", "warning": "[yellow]warning[/]"}
_SLOWEST = 5


def check(
    name: str = typer.Argument(..., help="Name of a bundled problem, or a folder."),
    sandbox: str = typer.Option("process", "--sandbox", help="docker, process, or a plug-in."),
    thorough: bool = typer.Option(
        False, "--thorough", help="Also run a program that takes nearly all the time it may."
    ),
    every: bool = typer.Option(False, "--all", help="List what is well, output by output."),
    json: bool = render.JSON,
) -> None:
    """Look for mistakes and loopholes: score the seed program, hostile outputs, hostile programs.

    The evaluator must refuse what is no answer (NaN, text, wrong length) and must not score better
    what nobody worked for: outputs of the seed program are tampered with in two dozen ways, and
    variants of it ruin their inputs, stop clocks, or print scores. Errors must be mended; warnings
    are worth a look. Exit code 1 when there is an error.

    JSON: {problem, errors, warnings, findings [{level, about, what, advice}],
    cases [{stage, case, outcome, objective, wall_ns, cpu_ns, peak_memory_bytes}]}.

    Example: evolve problem check ./my_problem
    """
    from evolve.config.problem import load_problem
    from evolve.engine.check import check_problem

    problem = load_problem(name, Path.cwd())
    out = render.console()
    told: set[str] = set()
    with render.console(stderr=True).status(f"checking {problem.id}"):
        checked = check_problem(
            problem,
            sandbox,
            thorough=thorough,
            found=(lambda _: None) if json else partial(_print, out, every, told),
            say=partial(typer.echo, err=True),
        )
    errors, warnings = checked.count("error"), checked.count("warning")
    if json:
        render.echo_json(
            {
                "problem": problem.id,
                "errors": errors,
                "warnings": warnings,
                "findings": [asdict(finding) for finding in checked.findings],
                "cases": _cases(checked),
            }
        )
    else:
        tried = [finding for finding in checked.findings if finding.hostile]
        well = sum(finding.level == "ok" for finding in tried)
        if tried:
            out.print(f"{well} of {len(tried)} hostile outputs and programs gained nothing")
        _print_cases(checked, out)
        out.print(f"{problem.id}: {_number(errors, 'error')}, {_number(warnings, 'warning')}")
    if errors:
        raise typer.Exit(1)


def _print(out: Console, every: bool, told: set[str], finding: Finding) -> None:
    """Print one finding, with its advice the first time; of hostile things the bad news only."""
    from rich.markup import escape

    if finding.hostile and finding.level == "ok" and not every:
        return
    mark = _MARKS.get(finding.level, "[bold red]error[/]")
    pad = " " * (9 - len(finding.level))
    out.print(f"{mark}{pad}{escape(finding.about)}: {escape(finding.what)}")
    if finding.advice and finding.advice not in told:
        told.add(finding.advice)
        out.print(" " * 9 + escape(finding.advice))


def _cases(checked: Checked) -> list[dict[str, object]]:
    return [
        {
            "stage": stage,
            "case": case.case,
            "outcome": case.outcome,
            "objective": case.score.objective if case.score else None,
            **asdict(case.usage),
        }
        for stage, case in checked.cases
    ]


def _print_cases(checked: Checked, out: Console) -> None:
    """Print the cases that took the seed program longest."""
    slowest = sorted(checked.cases, key=lambda pair: -pair[1].usage.wall_ns)[:_SLOWEST]
    rows = [
        (
            stage,
            case.case,
            f"{case.usage.wall_ns / 1e6:.1f}",
            f"{case.usage.cpu_ns / 1e6:.1f}",
            f"{case.usage.peak_memory_bytes / 2**20:.0f}",
        )
        for stage, case in slowest
    ]
    title = f"slowest of {len(checked.cases)} cases, seed program"
    columns = ("stage", "case", ">wall ms", ">CPU ms", ">MiB")
    out.line()
    out.print(render.table(title, columns, rows))


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
