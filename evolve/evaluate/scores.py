"""Scores as plain data between scorer and controller, and the rules they are held to."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Score
from evolve.core.values import Value

#: Characters kept of feedback, and of each artifact.
FEEDBACK_LIMIT, ARTIFACT_LIMIT = 20_000, 200_000


def pack_score(score: object) -> dict[str, Value]:
    """Turn what an evaluator returned into plain data, checked.

    Raises:
        EvaluatorError: it is no `Score`, or a part of it is not what it must be.
    """
    if not isinstance(score, Score):
        raise EvaluatorError(f"it returned a {type(score).__name__}; return evolve.Score(...)")
    return {
        "objective": _number(score.objective, "objective"),
        "measures": _numbers(score.measures, "measures"),
        "metrics": _numbers(score.metrics, "metrics"),
        "feedback": _text(score.feedback, "feedback", FEEDBACK_LIMIT),
        "artifacts": {
            str(name): _text(text, f"artifact {name}", ARTIFACT_LIMIT)
            for name, text in _mapping(score.artifacts, "artifacts").items()
        },
    }


def unpack_score(data: Mapping[str, Value]) -> Score:
    """Undo `pack_score`."""
    return Score(**data)  # type: ignore[arg-type]  # made by pack_score on the other side


def with_measures(score: Score, built_in: Mapping[str, float], declared: tuple[str, ...]) -> Score:
    """Complete a program's score with the built-in measures, and keep only declared ones.

    A measure that the evaluator returns under a built-in name wins.

    Raises:
        EvaluatorError: a declared measure is missing.
    """
    measures = {**built_in, **score.measures}
    missing = [name for name in declared if name not in measures]
    if missing:
        raise EvaluatorError(
            f"the score lacks the measures {', '.join(missing)} that problem.yaml declares; return "
            "Score(..., measures={...}) with each of them"
        )
    return Score(
        objective=score.objective,
        measures={name: measures[name] for name in declared},
        metrics={
            **{name: value for name, value in score.measures.items() if name not in declared},
            **score.metrics,
        },
        feedback=score.feedback,
        artifacts=score.artifacts,
    )


def _number(value: object, what: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise EvaluatorError(f"{what} is a {type(value).__name__}, must be a number")
    if isinstance(value, np.complexfloating) or not math.isfinite(value):
        raise EvaluatorError(f"{what} is {value}, must be finite; raise evolve.Invalid instead")
    return float(value)


def _numbers(values: object, what: str) -> dict[str, Value]:
    return {
        str(name): _number(value, f"{what}[{name!r}]")
        for name, value in _mapping(values, what).items()
    }


def _mapping(values: object, what: str) -> Mapping[object, object]:
    if not isinstance(values, Mapping):
        raise EvaluatorError(f"{what} is a {type(values).__name__}, must map names to values")
    return values


def _text(value: object, what: str, limit: int) -> str:
    if not isinstance(value, str):
        raise EvaluatorError(f"{what} is a {type(value).__name__}, must be a string")
    clean = value.encode("utf-8", "replace").decode()
    if len(clean) <= limit:
        return clean
    return clean[:limit] + f"\n[... {len(clean) - limit} characters left out ...]"
