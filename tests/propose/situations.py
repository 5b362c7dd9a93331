"""Contexts for operators, and a model that says what it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.limits import Limits
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.llm.base import Completion, Request
from evolve.propose.base import Context, Individual

SEED = """import math

# EVOLVE-BLOCK-START
def pack(n):
    scale = 0.5  # a guess
    if n > 3:
        scale = scale * -1.5
    return [scale / n] * n
# EVOLVE-BLOCK-END
"""
PROBLEM = Problem(
    id="packing",
    folder=Path(),
    title="Circles in a square",
    statement="Pack them well.",
    seed_program=Program({"solve.py": SEED}),
    entrypoint="pack",
    evaluator="packing:Packing",
    evaluator_options={},
    objective=Objective("sum_of_radii"),
    measures=(Measure("spread", 0, 1, 10),),
    limits=Limits(),
    record=None,
    harness="",
    baselines=(),
    hash="0",
)


@dataclass
class Model:
    """Gives one reply after the other and remembers what it was asked."""

    replies: Iterable[str | Completion]
    asked: list[tuple[str, Request]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._replies = iter(self.replies)

    async def __call__(self, model: str, request: Request) -> Completion:
        self.asked.append((model, request))
        reply = next(self._replies)
        return Completion(reply) if isinstance(reply, str) else reply

    def told(self, call: int) -> str:
        """Return the last message of a call."""
        return self.asked[call][1].messages[-1].content


def individual(
    number: int, source: str = SEED, objective: float | None = 1.0, message: str = ""
) -> Individual:
    if objective is None:
        evaluation = Evaluation(Outcome.EXCEPTION, message=message)
    else:
        evaluation = Evaluation(Outcome.OK, Score(objective, feedback=message))
    return Individual(number, Program({"solve.py": source}), evaluation)


def context(
    parent: Individual,
    *inspirations: Individual,
    model: Model | None = None,
    seed: int = 0,
    problem: Problem = PROBLEM,
    trials: Iterable[Individual] = (),
) -> Context:
    return Context(
        problem=problem,
        parent=parent,
        inspirations=inspirations,
        rng=np.random.default_rng(seed),
        seed=seed,
        complete=model or Model([]),
        trials=tuple(trials),
    )


def changed(individual: Individual, source: str) -> Individual:
    return replace(individual, program=Program({"solve.py": source}))
