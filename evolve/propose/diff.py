"""The diff operator: a model answers with SEARCH/REPLACE hunks."""

from __future__ import annotations

from evolve.core.patch import apply_patch, parse_patch
from evolve.core.program import Program
from evolve.propose.llm import LLMProposer


class DiffProposer(LLMProposer):
    """Ask for a few exact edits inside the evolve blocks: small steps, few tokens."""

    name = "diff"

    def _edit(self, program: Program, reply: str) -> Program:
        return apply_patch(program, parse_patch(reply))
