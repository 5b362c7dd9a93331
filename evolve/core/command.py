"""How a program in another language is built and run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """Two command lines, run in the program's own folder by the program's own user.

    Attributes:
        run: Program and arguments. Run for every call: the inputs are JSON on its standard input,
            its standard output is the JSON that the call returns.
        build: Program and arguments, run once before the first call; empty for nothing to build.
    """

    run: tuple[str, ...]
    build: tuple[str, ...] = ()
