"""Scores as plain data between scorer and controller, and the rules they are held to."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Score
from evolve.core.png import png_size
from evolve.core.values import Value

#: Characters kept of feedback, and of each artifact.
FEEDBACK_LIMIT, ARTIFACT_LIMIT = 20_000, 200_000
#: Measures, metrics or artifacts of one score.
ENTRY_LIMIT = 1000
#: Images of one score, and characters of the name of one.
IMAGE_LIMIT, NAME_LIMIT = 8, 200
#: Characters of a construction as JSON.
CONSTRUCTION_LIMIT = 1_000_000


def pack_score(score: object) -> dict[str, Value]:
    """Turn what an evaluator returned into plain data, checked.

    Texts beyond their limit are cut, and say so.

    Raises:
        EvaluatorError: it is no `Score`, or a part of it is not what it must be.
    """
    if not isinstance(score, Score):
        raise EvaluatorError(f"it gave a {type(score).__name__}; return evolve.Score(...)")
    artifacts = _entries(score.artifacts, "artifacts").items()
    return {
        "objective": _number(score.objective, "the objective"),
        "measures": _numbers(score.measures, "measures"),
        "metrics": _numbers(score.metrics, "metrics"),
        "feedback": _text(score.feedback, "feedback", FEEDBACK_LIMIT),
        "artifacts": {
            name: _text(t, f"artifact '{name}'", ARTIFACT_LIMIT) for name, t in artifacts
        },
        "images": _images(score.images),
    }


def pack_construction(value: Value) -> str:
    """Return what was built as JSON, arrays as lists; empty for None.

    Raises:
        EvaluatorError: it is not plain data, not finite, or too large.
    """
    if value is None:
        return ""
    try:
        text = json.dumps(value, default=_listed, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EvaluatorError(
            f"the construction cannot be kept ({error}); give lists, finite numbers, texts, arrays"
        ) from None
    if len(text) > CONSTRUCTION_LIMIT:
        raise EvaluatorError(
            f"the construction has {len(text)} characters as JSON; {CONSTRUCTION_LIMIT} are kept"
        )
    return text


def _listed(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is in it")


def score_data(score: Score) -> dict[str, Value]:
    """Return a checked score as plain data."""
    return {
        "objective": score.objective,
        "measures": dict(score.measures),
        "metrics": dict(score.metrics),
        "feedback": score.feedback,
        "artifacts": dict(score.artifacts),
        "images": {name: _packed(image) for name, image in score.images.items()},
    }


def unpack_score(data: Mapping[str, Any]) -> Score:
    """Undo `pack_score`."""
    images = {name: image.tobytes() for name, image in data["images"].items()}
    return Score(**{**data, "images": images})


def with_measures(score: Score, built_in: Mapping[str, float], declared: Sequence[str]) -> Score:
    """Complete a program's score with the built-in measures; undeclared ones become metrics.

    A measure that the evaluator returns under a built-in name wins.

    Raises:
        EvaluatorError: a declared measure is missing.
    """
    measures = {**built_in, **score.measures}
    missing = [name for name in declared if name not in measures]
    if missing:
        raise EvaluatorError(
            f"the score lacks the measure {' and '.join(map(repr, missing))} that problem.yaml "
            f"declares; it has {', '.join(map(repr, measures)) or 'none'}. Return "
            f"Score(..., measures={{{missing[0]!r}: ...}}) from combine(), or from every score()"
        )
    spare = {name: value for name, value in score.measures.items() if name not in declared}
    return replace(
        score,
        measures={name: measures[name] for name in declared},
        metrics={**spare, **score.metrics},
    )


def with_objectives(score: Score, built_in: Mapping[str, float], wanted: Sequence[str]) -> Score:
    """Complete a program's metrics with the further objectives that are measures of it.

    Raises:
        EvaluatorError: one is neither a metric nor a measure, given or built in.
    """
    known = {**built_in, **score.measures, **score.metrics}
    for name in wanted:
        if name not in known:
            raise EvaluatorError(
                f"the score lacks the metric '{name}' that archive.objectives names; it has "
                f"{', '.join(map(repr, known)) or 'none'}. Return "
                f"Score(..., metrics={{{name!r}: ...}}) from combine(), or from every score()"
            )
    return replace(score, metrics={**score.metrics, **{name: known[name] for name in wanted}})


def clean(text: str, limit: int) -> str:
    """Return ``text`` without lone surrogates and at most about ``limit`` characters long."""
    kept = text[:limit].encode("utf-8", "replace").decode()
    return kept if len(text) <= limit else f"{kept}\n[... {len(text) - limit} characters cut ...]"


def _number(value: object, what: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise EvaluatorError(f"{what} is a {type(value).__name__}; give a real number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise EvaluatorError(
            f"{what} is {number}; give a finite number, or refuse the output by evolve.Invalid"
        )
    return number


def _numbers(values: object, what: str) -> dict[str, Value]:
    return {
        name: _number(value, f"{what}[{name!r}]") for name, value in _entries(values, what).items()
    }


def _entries(values: object, what: str) -> Mapping[str, object]:
    if not isinstance(values, Mapping):
        raise EvaluatorError(f"{what} is a {type(values).__name__}; give a dictionary")
    if len(values) > ENTRY_LIMIT:
        raise EvaluatorError(f"{what} has {len(values)} entries; {ENTRY_LIMIT} are kept at most")
    for name in values:
        if not isinstance(name, str):
            raise EvaluatorError(f"{what} has the key {name!r}; names are strings")
    return values


def _images(values: object) -> dict[str, Value]:
    images = _entries(values, "images")
    if len(images) > IMAGE_LIMIT:
        raise EvaluatorError(f"images has {len(images)} entries; {IMAGE_LIMIT} are kept at most")
    for name, image in images.items():
        if not isinstance(image, bytes):
            kind = type(image).__name__
            raise EvaluatorError(f"image '{name}' is a {kind}; give the bytes of a PNG file")
        try:
            png_size(image)
        except ValueError as error:
            raise EvaluatorError(f"image '{name}' {error}") from None
    return {clean(name, NAME_LIMIT): _packed(image) for name, image in images.items()}


def _packed(image: object) -> Value:
    """Return the bytes of a file as plain data."""
    assert isinstance(image, bytes)
    return np.frombuffer(image, dtype=np.uint8)


def _text(value: object, what: str, limit: int) -> str:
    if not isinstance(value, str):
        raise EvaluatorError(f"{what} is a {type(value).__name__}; give a string")
    return clean(value, limit)
