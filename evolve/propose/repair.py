"""The repair operator: a program that failed its evaluation goes back once, with its error."""

from __future__ import annotations

from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.diff import DiffProposer


class RepairProposer(DiffProposer):
    """Ask for the smallest edit that makes a failed program work.

    Its parent is the newest program that failed and that no one has tried to repair. Programs that
    it made itself are not repaired again, so an error costs one more proposal at most.
    """

    name = "repair"
    varies = "failure"

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Ask for a repair of the parent, which has failed."""
        if context.parent.evaluation.score is not None:
            return Rejected("no_failure", "no program has failed that was not repaired yet")
        return await super().propose(context)
