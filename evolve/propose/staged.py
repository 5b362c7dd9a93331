"""Operators of two model calls: think first, then write the program in the same conversation.

Both calls are in the ledger. A run that is killed between them goes on with the second one.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from evolve.core.patch import extract_rewrite
from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.llm import LLMProposer, unusable_reply


class StagedProposer(LLMProposer):
    """Ask twice: a first reply in words, then the whole program that follows from it."""

    second: ClassVar[str]

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Ask for thoughts, then for code."""
        context = self.prepared(context)
        request = self.request(context)
        completion = await context.complete(self.model, request)
        unusable = unusable_reply(completion)
        if unusable is not None:
            return unusable
        values = self._choose(completion.text, context.rng)
        message = self._writer.later(self.second, context, **values)
        return await self._settle(context, self._next(request, completion, message))

    def _choose(self, reply: str, rng: np.random.Generator) -> dict[str, object]:  # noqa: ARG002 - for subclasses
        """Return what the second template is told about the first reply."""
        return {}

    def _edit(self, program: Program, reply: str) -> Program:
        return extract_rewrite(reply, program)
