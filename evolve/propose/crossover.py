"""The crossover operator: a model combines two parents in one program."""

from __future__ import annotations

from dataclasses import replace

from evolve.core.patch import extract_rewrite
from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.llm import LLMProposer


class CrossoverProposer(LLMProposer):
    """Show two elites of different cells and ask for one program with the strengths of both.

    The second parent is one of the inspirations.
    """

    name = "crossover"
    mates = 1

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Ask for a program that has the strengths of both parents."""
        if not context.inspirations:
            return Rejected("no_mate", "there is no second elite, or selection.inspirations is 0")
        return await super().propose(context)

    def prepared(self, context: Context) -> Context:
        """Keep one inspiration: the mate."""
        others = context.inspirations
        mate = others[context.seed % len(others) :][:1] if others else ()
        return replace(context, inspirations=mate)

    def parents(self, context: Context) -> tuple[int, ...]:
        """Return the ids of both parents."""
        return (context.parent.id, *(mate.id for mate in context.inspirations))

    def _edit(self, program: Program, reply: str) -> Program:
        return extract_rewrite(reply, program)
