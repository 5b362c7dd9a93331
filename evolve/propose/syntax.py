"""Whether the Python sources of a candidate parse, told without running them."""

from __future__ import annotations

from evolve.core.program import Program
from evolve.core.syntax import parse_quietly


def syntax_error(program: Program, parent: Program) -> str | None:
    """Return what is wrong with the first changed ``.py`` file that does not parse, or None.

    The message names file, line and the line's text, so that it can be sent back to a model.
    """
    for path, source in program.files.items():
        if not path.endswith(".py") or parent.files.get(path) == source:
            continue
        error = parse_quietly(source)
        if isinstance(error, SyntaxError):
            line = (error.text or "").strip()[:200]
            return f"{path}:{error.lineno or 0}: {error.msg}" + (f": {line}" if line else "")
        if isinstance(error, Exception):
            return f"{path}: {error or type(error).__name__}"
    return None
