"""The rewrite operator: a model answers with the whole program."""

from __future__ import annotations

from types import MappingProxyType

from evolve.core.patch import extract_rewrite
from evolve.core.program import Program
from evolve.propose.llm import LLMProposer


class RewriteProposer(LLMProposer):
    """Ask for the whole program anew: large steps, and all its tokens."""

    name = "rewrite"
    usual_variants = MappingProxyType({"fresh": 0.3, "structure": 0.2, "faster": 0.1})

    def _edit(self, program: Program, reply: str) -> Program:
        return extract_rewrite(reply, program)
