"""What a problem's mode adds to a score: improvement over a start, or the price of no formula.

In mode *search* the objective is the value of the construction that a program returned, wherever it
began, so that scores from different starts are comparable; how much of it is the program's own
doing is the measure ``improvement``.

In mode *generalise* one program is scored over many sizes, and pays ``weight`` for each unit of
length, which is so many syntax nodes in its evolved part, and for each power of the size that its
time grows by: a formula is short and takes no time, a search is neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evolve.config.problem import Problem
from evolve.core.code_measures import ast_nodes
from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import CaseResult, Score, Start
from evolve.core.program import Program

IMPROVEMENT, TIME_GROWTH = "improvement", "time_growth"


@dataclass(frozen=True, slots=True)
class Judged:
    """A score with what the mode makes of it, and the measures that the mode provides."""

    score: Score
    measures: Mapping[str, float]


def in_mode(
    problem: Problem,
    program: Program,
    score: Score,
    start: Start | None,
    cases: Sequence[tuple[float | None, CaseResult]],
) -> Judged:
    """Return what a problem's mode makes of a program's score.

    Args:
        problem: Says the mode.
        program: What was run.
        score: All cases together.
        start: What it went on from, if not from the evaluator's own start.
        cases: Sizes and results.
    """
    if problem.mode == "search":
        return _improved(problem, score, start)
    if problem.formula is not None:
        growth = time_growth(cases, problem.formula.floor_ms)
        return _as_formula(problem, score, ast_nodes(program), growth)
    return Judged(score, {})


def together(problem: Problem, results: Sequence[CaseResult]) -> str:
    """Return what was built in mode search, as JSON by case; nothing in other modes.

    Raises:
        EvaluatorError: the evaluator keeps the construction of a case to itself.
    """
    if problem.mode != "search":
        return ""
    for result in results:
        if not result.construction:
            raise EvaluatorError(
                f"mode: search, but the score of {result.case} has no construction for later "
                "programs to begin with: return Score(..., construction=...)"
            )
    entries = (f"{json.dumps(result.case)}: {result.construction}" for result in results)
    return f"{{{', '.join(entries)}}}"


def _improved(problem: Problem, score: Score, start: Start | None) -> Judged:
    """Note the improvement over the start: 0 without one."""
    if start is None:
        return Judged(score, {IMPROVEMENT: 0.0})
    fitness = problem.objective.fitness
    gained = fitness(score.objective) - fitness(start.objective)
    told = f"It began with {start.objective:.12g} and came to {score.objective:.12g}: "
    told += f"better by {gained:.3g}." if gained > 0 else "no better."
    return Judged(
        replace(
            score,
            metrics={**score.metrics, IMPROVEMENT: gained, "start": start.objective},
            feedback=f"{told}\n{score.feedback}".rstrip(),
        ),
        {IMPROVEMENT: gained},
    )


def _as_formula(problem: Problem, score: Score, nodes: float, growth: float) -> Judged:
    """Take the price of length and growth off."""
    assert problem.formula is not None
    price = problem.formula.weight * (nodes / problem.formula.nodes + growth)
    minimize = problem.objective.direction == "minimize"
    paid = score.objective + (price if minimize else -price)
    told = (
        f"{score.objective:.9g} over all sizes, and {price:.3g} for {nodes:.0f} syntax nodes and "
        f"time that grows with the size to the power {growth:.2f}."
    )
    return Judged(
        replace(
            score,
            objective=paid,
            metrics={**score.metrics, "unpriced": score.objective, TIME_GROWTH: growth},
            feedback=f"{told}\n{score.feedback}".rstrip(),
        ),
        {TIME_GROWTH: growth},
    )


def time_growth(cases: Sequence[tuple[float | None, CaseResult]], floor_ms: float) -> float:
    """Return the power of the size that CPU time grows by, at least 0.

    It is the slope of a line through the logarithms, by least squares. Time below ``floor_ms``
    counts as that much, so that what takes hardly any has growth 0. The first case pays for the
    program's import and is left out if three remain.
    """
    timed = [(size, result.usage.cpu_ns / 1e6) for size, result in cases if size is not None]
    timed = timed[1:] if len(timed) > 3 else timed
    sizes = np.log([size for size, _ in timed])
    if len(timed) < 2 or np.ptp(sizes) == 0:
        return 0.0
    times = np.log([max(cpu, floor_ms) for _, cpu in timed])
    centred = sizes - sizes.mean()
    return max(float(centred @ (times - times[0]) / (centred @ centred)), 0.0)
