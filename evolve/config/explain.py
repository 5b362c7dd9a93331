"""What pydantic found wrong, in the words of the person who wrote the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from evolve.config.nearest import did_you_mean
from evolve.config.section import Section
from evolve.config.source import Where, redact


class Finding(NamedTuple):
    """One thing wrong: at which place, whether its key is meant, and what."""

    where: Where
    is_key: bool
    message: str


def explain(error: ValidationError, model: type[Section]) -> Iterator[Finding]:
    """Yield everything wrong with a file that should be a ``model``."""
    details = error.errors(include_url=False)
    for detail in details:
        where = detail["loc"]
        inner = any(other["loc"][: len(where)] == where for other in details if other is not detail)
        if detail["type"] == "too_short" and inner:
            continue  # too short only because its entries are wrong
        yield Finding(where, detail["type"] == "extra_forbidden", _message(detail, model))


def _message(detail: ErrorDetails, model: type[Section]) -> str:
    where, kind = detail["loc"], detail["type"]
    name = ".".join(map(str, where))
    if kind in {"extra_forbidden", "missing"}:
        parent, _, key = name.rpartition(".")
        inside = f" in {parent}" if parent else ""
        if kind == "missing":
            return f"missing key '{key}'{inside}"
        hint = did_you_mean(key, _section(model, where[:-1]).model_fields)
        return f"unknown key '{key}'{inside}{hint}"
    if kind == "too_short":
        return f"{name} needs at least {detail['ctx']['min_length']} entry"
    message = detail["msg"].removeprefix("Value error, ")
    if not message.startswith("Input should "):
        message = message.replace("String should", "must")
        return f"{name}: {message}" if name else message
    message = message.removeprefix("Input should ")
    message = message.replace("a valid array", "a list").replace("an object", "a mapping")
    value = json.dumps(detail["input"])
    given = f", not {value}" if len(value) <= 60 else ""
    return redact(f"{name or 'the file'} must {message}{given}")


def _section(model: type[Section], where: Where) -> type[Section]:
    """Return the model of the section at ``where``."""
    for step in where:
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return model


def _model_in(annotation: object) -> type[Section] | None:
    """Return the section inside ``tuple[X, ...] | None`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
