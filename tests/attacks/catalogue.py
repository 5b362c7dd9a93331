"""What an attack is, and the prelude every attacking program starts with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from evolve.core.evaluation import Outcome

PRELUDE = '''
import os, re, sys, time

ANSWER = re.compile("answer-[0-9]{12}")  # what the suite hides from programs

def successes(**attempts):
    """Run each attempt and return the names of those that did not fail."""
    done = []
    for name, attempt in attempts.items():
        try:
            result = attempt()
        except BaseException:
            continue
        if result is not False:
            done.append(name)
    return done

def libc(name, *arguments):
    """Call libc and say whether it succeeded."""
    import ctypes
    return getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) >= 0

def readable(*paths):
    """Return the text of all readable files below paths that holds an answer, 64 kB of each."""
    found = []
    for top in paths:
        for folder, names, files in os.walk(top):
            names[:] = [n for n in names if n not in ("self", "thread-self")][:200]
            for name in files[:200]:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        os.set_blocking(file.fileno(), False)
                        text = (file.read(65536) or b"").decode("latin-1")
                    if "answer-" in text:
                        found.append(text)
                except OSError:
                    pass
    return "".join(found)
'''


#: For programs whose own words are all they have forged.
ANYTHING = object()


@dataclass(frozen=True)
class Attack:
    """A hostile program.

    Attributes:
        source: Defines ``solve()``, with `PRELUDE` before it.
        outcomes: How it may end.
        value: What it returns when it ends well and is contained; `ANYTHING` when that is its own
            business.
        limits: Changes to the suite's limits.
    """

    source: str
    outcomes: frozenset[Outcome]
    value: object = field(default_factory=list)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The complete source."""
        return PRELUDE + textwrap.dedent(self.source)


def attack(source: str, *outcomes: Outcome, value: object = (), **limits: float) -> Attack:
    """Return an attack that may end in ``outcomes``, by default only in being contained."""
    contained = list(value) if isinstance(value, tuple) else value
    return Attack(source, frozenset(outcomes or {Outcome.OK}), contained, limits)
