"""A program that a person wrote, as if an operator had proposed it."""

from __future__ import annotations

from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Rejected

#: The operator's name in the store.
SUBMIT = "submit"


class SubmitProposer:
    """Propose one given program; like any other it is looked at before it is evaluated.

    Args:
        program: Its sources.
        file: What the person calls it.
    """

    name = SUBMIT
    arbitrary_code = True

    def __init__(self, program: Program, file: str) -> None:
        self._program, self._file = program, file

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Return the program."""
        return Candidate(self._program, (context.parent.id,), f"written by hand: {self._file}")
