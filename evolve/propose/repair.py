"""The repair operator: a program that failed its evaluation goes back once, with its error."""

from __future__ import annotations

from evolve.propose.diff import DiffProposer


class RepairProposer(DiffProposer):
    """Ask for the smallest edit that makes a failed program work.

    Its parent is the newest program that failed and that no one has tried to repair. Programs that
    it made itself are not repaired again, so an error costs one more proposal at most.
    """

    name = "repair"
    varies = "failure"
