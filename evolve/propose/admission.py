"""What is not worth an evaluation: told from a candidate's sources, without running them."""

from __future__ import annotations

from evolve.config.problem import Problem
from evolve.config.program_file import check_entrypoint
from evolve.core.errors import ConfigError
from evolve.core.program import END, START, Program
from evolve.core.syntax import syntax_of
from evolve.propose.base import Rejected


def refusal(program: Program, parent: Program, problem: Problem) -> Rejected | None:
    """Return why a candidate is not to be evaluated, or None.

    The reasons: ``no_op`` (the parent's own syntax, whatever the comments and white space),
    ``outside_blocks``, ``syntax``, ``no_entrypoint``. Files that are not Python are compared as
    text and not parsed.

    Args:
        program: The candidate.
        parent: The program it was made from.
        problem: Says which function must be there, if programs are not run by a command.
    """
    if program == parent:
        return Rejected("no_op", "the edit leaves the program as it was")
    if program.outside != parent.outside:
        return Rejected(
            "outside_blocks",
            "the program differs from its parent outside of the evolve blocks; change only lines "
            f"between {START} and {END}",
        )
    wrong = syntax_error(program, parent)
    if wrong is not None:
        return Rejected("syntax", wrong)
    if program.syntax_id == parent.syntax_id:
        return Rejected("no_op", "the edit changes comments and white space only")
    if problem.command is None:
        try:
            check_entrypoint(program, problem.entrypoint, problem.folder)
        except ConfigError as error:
            return Rejected("no_entrypoint", error.message)
    return None


def syntax_error(program: Program, parent: Program) -> str | None:
    """Return what is wrong with the first changed ``.py`` file that does not parse, or None.

    The message names file, line and the line's text, so that it can be sent back to a model.
    """
    for path, source in program.files.items():
        if not path.endswith(".py") or parent.files.get(path) == source:
            continue
        error = syntax_of(source)
        if isinstance(error, SyntaxError):
            line = (error.text or "").strip()[:200]
            return f"{path}:{error.lineno or 0}: {error.msg}" + (f": {line}" if line else "")
        if isinstance(error, Exception):
            return f"{path}: {error or type(error).__name__}"
    return None
