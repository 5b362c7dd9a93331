"""Outputs that a hostile or broken program might return, made from an honest one.

Three kinds. A *malformed* output is no answer at all: whoever scores it better than the honest one
has a hole. An *altered* output may be an answer, though nobody worked for it: when it is better,
somebody should look why. A *nudged* one differs by so little that it may not gain anything to speak
of: if it does, a tolerance is being sold for score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from evolve.core.values import Value

Kind: TypeAlias = Literal["malformed", "altered", "nudged"]
#: Relative size of the changes that must not matter.
SMALL = 1e-9
_Change: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Tampering:
    """One way to tamper with an output.

    Attributes:
        name: What was done, for a report.
        kind: What may be expected of the score.
        apply: Returns the tampered output; an equal one when there is nothing to tamper with.
        finite: Whether what it returns holds plain finite numbers only.
    """

    name: str
    kind: Kind
    apply: Callable[[Value], Value]
    finite: bool = True


def tamperings() -> tuple[Tampering, ...]:
    """Return all ways to tamper, from the crudest to the subtlest."""
    return (
        Tampering("nothing", "malformed", lambda _: None),
        Tampering("text", "malformed", lambda _: "1.0"),
        Tampering("an empty list", "malformed", lambda _: []),
        Tampering("an empty dictionary", "malformed", lambda _: {}),
        Tampering("the answer in a list", "malformed", lambda value: [value]),
        Tampering("numbers as text", "malformed", lambda value: _each(value, _as_text)),
        Tampering("true for every number", "malformed", lambda value: _each(value, lambda _: True)),
        Tampering("complex numbers", "malformed", _complex, finite=False),
        Tampering("NaN in one number", "malformed", _one(np.nan), finite=False),
        Tampering("NaN everywhere", "malformed", _all(np.nan), finite=False),
        Tampering("infinity in one number", "malformed", _one(np.inf), finite=False),
        Tampering("infinity everywhere", "malformed", _all(np.inf), finite=False),
        Tampering("minus infinity everywhere", "malformed", _all(-np.inf), finite=False),
        Tampering("1e308 everywhere", "altered", _all(1e308)),
        Tampering("-1e308 everywhere", "altered", _all(-1e308)),
        Tampering("an integer of 400 digits", "altered", _one(10**400)),
        Tampering("one element more", "altered", lambda value: _resized(value, 1)),
        Tampering("one element fewer", "altered", lambda value: _resized(value, -1)),
        Tampering("zero everywhere", "altered", lambda value: _each(value, lambda each: 0 * each)),
        Tampering("minus zero for zero", "nudged", lambda value: _each(value, _minus_zero)),
        Tampering("the first number everywhere", "altered", _constant),
        Tampering("in reverse order", "altered", _reversed),
        Tampering("floats times 1 + 1e-9", "nudged", lambda value: _each(value, _times(1 + SMALL))),
        Tampering("floats times 1 - 1e-9", "nudged", lambda value: _each(value, _times(1 - SMALL))),
        Tampering("floats plus 1e-9", "nudged", lambda value: _each(value, _plus(SMALL))),
    )


def _each(value: Any, change: _Change) -> Any:  # noqa: ANN401 - plain data of any form
    """Change every number of plain data; arrays become lists where the change is to no number."""
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each(item, change) for item in value]
    if isinstance(value, np.ndarray):
        changed = [change(item) for item in value.ravel().tolist()]
        if all(isinstance(item, int | float) for item in changed) and not any(
            isinstance(item, int) and abs(item) >= 2**63 for item in changed
        ):
            return np.array(changed).reshape(value.shape) if changed else value
        return np.array(changed, dtype=object).reshape(value.shape).tolist()
    return change(value) if _is_number(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> Iterator[float]:  # noqa: ANN401 - plain data of any form
    """Yield every number of plain data in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    elif _is_number(value):
        yield value


def _all(number: float) -> _Change:
    return lambda value: _each(value, lambda _: number)


def _one(number: float) -> _Change:
    """Return a change of the first number alone."""

    def change(value: Any) -> Any:  # noqa: ANN401 - plain data of any form
        left = [number]
        return _each(value, lambda old: left.pop() if left else old)

    return change


def _constant(value: Any) -> Any:  # noqa: ANN401 - plain data of any form
    first = next(_numbers(value), 0)
    return _each(value, lambda _: first)


def _complex(value: Any) -> Any:  # noqa: ANN401 - plain data of any form
    """Return an array of complex numbers of the shape of a list or an array."""
    numbers = list(_numbers(value))
    shape = np.shape(value) if isinstance(value, np.ndarray) else (len(numbers),)
    try:
        return (np.array(numbers, dtype=float) * (1 + 3j)).reshape(shape)
    except (OverflowError, ValueError):
        return value


def _resized(value: Any, by: int) -> Any:  # noqa: ANN401 - plain data of any form
    """Repeat the last element of the outermost sequence, or drop it."""
    if isinstance(value, dict):
        return {key: _resized(item, by) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.ndim and len(value):
        return np.concatenate([value, value[-1:]]) if by > 0 else value[:-1]
    if isinstance(value, list | tuple) and value:
        return [*value, value[-1]] if by > 0 else list(value[:-1])
    return value


def _reversed(value: Any) -> Any:  # noqa: ANN401 - plain data of any form
    if isinstance(value, dict):
        return {key: _reversed(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.ndim:
        return value[::-1].copy()
    return list(reversed(value)) if isinstance(value, list | tuple) else value


def _as_text(value: float) -> str:
    return repr(value)


def _minus_zero(value: float) -> float:
    return -0.0 if isinstance(value, float) and value == 0 else value


def _times(factor: float) -> _Change:
    return lambda value: value * factor if isinstance(value, float) else value


def _plus(amount: float) -> _Change:
    return lambda value: value + amount if isinstance(value, float) else value
