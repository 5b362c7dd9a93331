"""Programs that do what the seed program does and try to gain by something else.

Each is the seed program with a few lines behind it that put another function in the entrypoint's
place. They run in the sandbox like any program.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from evolve.core.program import Program


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
        path, _, function = entrypoint.rpartition(":")
        path = program.resolve(path) or program.main if path else program.main
        code = (
            f"\n\ndef _disguise(honest):\n    import copy, time\n"
            f"{textwrap.indent(body, '    ')}\n    return impostor\n\n\n"
            f"{function} = _disguise({function})\n"
        )
        return Program({**program.files, path: program.files[path] + code})

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
