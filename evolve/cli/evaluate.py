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
    repeats: int = typer.Option(
        1, "--repeats", min=1, help="How often, with other seeds: tells how much the score varies."
    ),
    json: bool = render.JSON,
) -> None:
    """Run one program in the sandbox and score it. Nothing is stored.

    JSON: {outcome, objective, samples, error, measures, metrics, feedback, usage {wall_ns,
    cpu_ns, peak_memory_bytes}, cases, stdout, stderr, record {value, source, margin, gain} or
    null}.

    Example: evolve evaluate circle_packing_26 best.py
    """
    from evolve.config.problem import load_problem
    from evolve.engine.single import evaluate_file

    stage: Stage = "held_out" if held_out else "search"
    evaluation = evaluate_file(
        problem, file, stage, sandbox, partial(typer.echo, err=True), repeats
    )
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
        "samples": evaluation.samples,
        "error": evaluation.error,
        "measures": dict(score.measures) if score else {},
        "metrics": dict(score.metrics) if score else {},
        "feedback": evaluation.feedback,
        "usage": asdict(evaluation.usage),
        "cases": [asdict(case) for case in evaluation.cases],
        "stdout": evaluation.stdout,
        "stderr": evaluation.stderr,
    }


def _verdict(evaluation: Evaluation) -> str:
    """Say whether the score varies."""
    if not evaluation.error:
        return f"the same score {evaluation.samples} times"
    return "the score varies: `noise: {}` in problem.yaml deals with it, see docs/noise.md"


def _print(evaluation: Evaluation, compared: str) -> None:
    out = render.console()
    out.print(f"outcome: {evaluation.outcome}", markup=False)
    if evaluation.score is not None:
        varies = bool(evaluation.error)
        exact = repr(evaluation.score.objective)
        shown = render.estimate(evaluation.estimate) if varies else exact
        out.print(f"objective: {shown}", markup=False)
        if evaluation.samples > 1:
            out.print(_verdict(evaluation), markup=False, soft_wrap=True)
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
