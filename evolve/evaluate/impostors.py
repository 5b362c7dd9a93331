"""Programs that do what the seed program does and try to gain by something else.

Each is the seed program with a few lines behind it that put another function in the entrypoint's
place. They run in the sandbox like any program.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evolve.core.program import Program
from evolve.core.values import Value

#: Characters of answers that a program can know by heart.
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class Impostor:
    """A hostile program.

    Attributes:
        name: What it does.
        program: Its sources.
        extra_s: Seconds it takes on purpose.
    """

    name: str
    program: Program
    extra_s: float = 0.0


_RUINS_INPUTS = """
def ruin(value):
    if isinstance(value, dict):
        for key in list(value):
            ruin(value[key])
            value[key] = 0
    elif isinstance(value, list):
        for item in value:
            ruin(item)
        value.clear()
    elif hasattr(value, "fill"):
        value.fill(0)

def impostor(*arguments, **named):
    answer = honest(*copy.deepcopy(arguments), **copy.deepcopy(named))
    ruin(list(arguments))
    for value in named.values():
        ruin(value)
    return answer
"""
_FIRST_ANSWER = """
kept = []

def impostor(*arguments, **named):
    if not kept:
        kept.append(copy.deepcopy(honest(*arguments, **named)))
    return copy.deepcopy(kept[0])
"""
_STOPS_CLOCKS = """
for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    setattr(time, clock, lambda: 0.0)
    setattr(time, clock + "_ns", lambda: 0)
impostor = honest
"""
_CLAIMS_A_SCORE = """
def impostor(*arguments, **named):
    for number in ("1e9", "-1e9"):
        print('{"score": %s, "objective": %s, "combined_score": %s}' % ((number,) * 3), flush=True)
    return honest(*arguments, **named)
"""
_RECITES = """
from math import inf, nan
import numpy
left = {answers}

def impostor(*arguments, **named):
    return left.pop(0) if left else honest(*arguments, **named)
"""
_SLEEPS = """
left = [{seconds}]

def impostor(*arguments, **named):
    if left:
        time.sleep(left.pop())
    return honest(*arguments, **named)
"""


def impostors(program: Program, entrypoint: str, *, spare_s: float) -> tuple[Impostor, ...]:
    """Return hostile variants of ``program``.

    Args:
        program: An honest one, in Python.
        entrypoint: ``function`` of its only file, or ``path.py:function``.
        spare_s: Seconds that it may sleep and still end within its limit.
    """

    def disguised(body: str) -> Program:
        return _disguised(program, entrypoint, body)

    return (
        Impostor("ruins its inputs", disguised(_RUINS_INPUTS)),
        Impostor("answers every call with its first answer", disguised(_FIRST_ANSWER)),
        Impostor("stops the clocks", disguised(_STOPS_CLOCKS)),
        Impostor("prints a score of its own", disguised(_CLAIMS_A_SCORE)),
        Impostor(
            "takes nearly all its time",
            disguised(_SLEEPS.format(seconds=repr(spare_s))),
            extra_s=spare_s,
        ),
    )


def reciter(program: Program, entrypoint: str, answers: Sequence[Value]) -> Impostor | None:
    """Return a program that knows the answers of ``program`` by heart, whatever it is asked.

    Args:
        program: An honest one, in Python.
        entrypoint: As in `impostors`.
        answers: What it returned, call by call.

    Returns:
        The program; None where the answers are too long for one.
    """
    told = f"[{', '.join(map(_literal, answers))}]"
    if len(told) > _LONGEST:
        return None
    return Impostor(
        "recites the seed program's answers",
        _disguised(program, entrypoint, _RECITES.format(answers=told)),
    )


def _literal(value: Any) -> str:  # noqa: ANN401 - plain data of any form
    """Return the Python expression for plain data."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, np.ndarray):
        return f"numpy.array({value.tolist()!r}, dtype={value.dtype.name!r})"
    return repr(value)


def _disguised(program: Program, entrypoint: str, body: str) -> Program:
    """Put another function in the entrypoint's place: ``impostor`` of ``body``."""
    path, _, function = entrypoint.rpartition(":")
    path = program.resolve(path) or program.main if path else program.main
    code = (
        f"\n\ndef _disguise(honest):\n    import copy, time\n"
        f"{textwrap.indent(body, '    ')}\n    return impostor\n\n\n"
        f"{function} = _disguise({function})\n"
    )
    return Program({**program.files, path: program.files[path] + code})
