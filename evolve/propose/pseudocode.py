"""The pseudocode operator: an algorithm in words, traced on an instance, then its code."""

from __future__ import annotations

from evolve.propose.staged import StagedProposer


class PseudocodeProposer(StagedProposer):
    """Pseudocode that is traced on an instance first, then the program.

    After Think-and-Execute (Chae et al., 2024): the logic that all instances share is written down
    and its execution simulated before any code is.
    """

    name = "pseudocode"
    later = ("pseudocode_code.j2",)
    second = "pseudocode_code.j2"
