"""The cases of a problem, as its evaluator makes them once for all programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evolve.config.problem import Problem
from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.scorer import Scorer

STAGES: tuple[Stage, ...] = ("search", "held_out")


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of a stage as programs get them.

    Attributes:
        stage: Which cases.
        names: How results call them.
        inputs: Encoded; every program gets its own copy.
        digest: What proves that a scorer has the same ones.
        first: The first that counts; the one before it, if any, is for warming up.
        source: The stage whose cases the evaluator made for this one, if it is another one.
        seed: Of a repeat, where noise is declared.
        sizes: How large each is, where the evaluator says so.
        begins: Whether each has the input ``start``, a construction to go on from.
        starts: JSON, by name: what they have there instead of the evaluator's own.
    """

    stage: Stage
    names: tuple[str, ...]
    inputs: tuple[bytes, ...]
    digest: str
    first: int = 0
    source: Stage | None = None
    seed: int | None = None
    sizes: tuple[float | None, ...] = ()
    begins: bool = False
    starts: str = ""

    @classmethod
    def of(cls, stage: Stage, made: Mapping[str, Any], *, first: int = 0) -> Cases:
        """Read a scorer's answer."""
        return cls(
            stage,
            tuple(case["name"] for case in made["cases"]),
            tuple(case["inputs"].tobytes() for case in made["cases"]),
            made["digest"],
            first,
            sizes=tuple(case["size"] for case in made["cases"]),
            begins=all(case["begins"] for case in made["cases"]),
        )

    def request(self) -> dict[str, Value]:
        """Return what every request about these cases says."""
        seeded = {} if self.seed is None else {"seed": self.seed}
        begun = {"starts": self.starts} if self.starts else {}
        return {"stage": self.source or self.stage, "digest": self.digest, **seeded, **begun}


async def make_cases(problem: Problem, scorer: Scorer, *, noisy: bool) -> dict[Stage, Cases]:
    """Have the evaluator make the cases of all stages, and check that there are enough.

    Args:
        problem: What is evaluated.
        scorer: Holds its evaluator.
        noisy: Whether the search cases serve as held-out cases where there are none.

    Raises:
        EvaluatorError: there are too few.
    """
    first = min(problem.warmup, 1)
    cases = {
        stage: Cases.of(stage, await scorer.ask("cases", {"stage": stage}), first=first)
        for stage in STAGES
    }
    if not cases["search"].names:
        raise EvaluatorError(f"evaluator {problem.evaluator} makes no case for stage 'search'")
    if problem.probes >= len(cases["search"].names):
        raise EvaluatorError(
            f"probes: {problem.probes} leaves none of the {len(cases['search'].names)} search "
            "cases to be saved: yield more cases after the probes, or name fewer"
        )
    if problem.cascade and problem.cascade[-1].cases >= len(cases["search"].names):
        raise EvaluatorError(
            f"cascade: cases: {problem.cascade[-1].cases} leaves none of the "
            f"{len(cases['search'].names)} search cases to be saved: name fewer"
        )
    _suit_the_mode(problem, cases)
    for stage, made in cases.items():
        if made.first == len(made.names) == 1:
            raise EvaluatorError(
                f"warmup: {problem.warmup} uses up the only case of stage {stage!r}: yield one "
                "more before it, of the same size and with other data"
            )
    if noisy and not cases["held_out"].names:
        cases["held_out"] = replace(cases["search"], stage="held_out", source="search")
    return cases


def _suit_the_mode(problem: Problem, cases: Mapping[Stage, Cases]) -> None:
    """Refuse cases that lack what the problem's mode is about.

    Raises:
        EvaluatorError: they do.
    """
    for stage, made in cases.items():
        if problem.mode == "search" and not made.begins:
            raise EvaluatorError(
                f"mode: search, but a case of stage {stage!r} has no input 'start': yield "
                'Case({..., "start": None}), or a construction that every first program begins with'
            )
        if problem.formula is not None and None in made.sizes:
            raise EvaluatorError(
                f"mode: generalise, but a case of stage {stage!r} has no size: yield "
                "Case({...}, size=n)"
            )
