"""`evolve evaluate`: one program under one problem's evaluator, without a run."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.core.evaluation import Evaluation, Stage


def evaluate(
    problem: str = typer.Argument(..., help="A bundled problem's name, or a problem folder."),
    file: Path = typer.Argument(..., help="The program: a file, or a folder of files."),
    held_out: bool = typer.Option(False, "--held-out", help="Use the held-out cases."),
    sandbox: str = typer.Option(
        "process", "--sandbox", help="docker for a program you do not trust; process for your own."
    ),
    json: bool = render.JSON,
) -> None:
    """Run one program in the sandbox and score it. Nothing is stored.

    JSON: {outcome, objective, measures, metrics, feedback, usage {wall_ns, cpu_ns,
    peak_memory_bytes}, cases, stdout, stderr, record {value, source, margin, gain} or null}.

    Example: evolve evaluate circle_packing_26 best.py
    """
    from evolve.config.problem import load_problem
    from evolve.engine.single import evaluate_file

    stage: Stage = "held_out" if held_out else "search"
    evaluation = evaluate_file(problem, file, stage, sandbox, partial(typer.echo, err=True))
    described = load_problem(problem)
    score, record = evaluation.score, described.record
    if json:
        gain = record.gain(score.objective, described.objective) if record and score else None
        known = {**asdict(record), "gain": gain} if record else None
        render.echo_json({**_as_dict(evaluation), "record": known})
    else:
        compared = record.against(score.objective, described.objective) if record and score else ""
        _print(evaluation, compared)
    if evaluation.score is None:
        raise typer.Exit(1)


def _as_dict(evaluation: Evaluation) -> dict[str, object]:
    score = evaluation.score
    return {
        "outcome": evaluation.outcome,
        "objective": score.objective if score else None,
        "measures": dict(score.measures) if score else {},
        "metrics": dict(score.metrics) if score else {},
        "feedback": evaluation.feedback,
        "usage": asdict(evaluation.usage),
        "cases": [asdict(case) for case in evaluation.cases],
        "stdout": evaluation.stdout,
        "stderr": evaluation.stderr,
    }


def _print(evaluation: Evaluation, compared: str) -> None:
    out = render.console()
    out.print(f"outcome: {evaluation.outcome}", markup=False)
    if evaluation.score is not None:
        out.print(f"objective: {evaluation.score.objective!r}", markup=False)
        if compared:
            out.print(f"  {compared}", markup=False)
        for kind in ("measures", "metrics"):
            for name, value in getattr(evaluation.score, kind).items():
                out.print(f"  {name}: {render.text(value)}", markup=False)
    usage = evaluation.usage
    out.print(
        f"wall {usage.wall_ns / 1e9:.3f} s, CPU {usage.cpu_ns / 1e9:.3f} s, "
        f"memory {usage.peak_memory_bytes / 2**20:.0f} MiB",
        markup=False,
    )
    for label in ("feedback", "stdout", "stderr"):
        text = getattr(evaluation, label).strip()
        if text:
            out.print(f"{label}:\n{text}", markup=False, soft_wrap=True)
