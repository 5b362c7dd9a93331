"""A model checks a candidate against the problem's constraints before an evaluation is spent.

The verification agent of PlanGEN (Parmar et al., 2025), with one call: the constraints are those
that the problem states.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from evolve.core.program import Program
from evolve.llm.base import Request
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.prompt import PromptWriter, TokenBudget

_VERDICT = re.compile(r"^\W*(ACCEPT|REFUSE)\W*$", re.MULTILINE)


class Verifier:
    """Ask ``model`` for a verdict; in doubt a candidate is accepted.

    Args:
        model: Id of a configured model.
        template_dir: Folder whose templates go before the built-in ones.
        tokens: Longest parts of the prompt.
    """

    def __init__(self, model: str, template_dir: Path | None, tokens: TokenBudget) -> None:
        self.model = model
        self._writer = PromptWriter("verify.j2", template_dir=template_dir, tokens=tokens)

    def request(self, context: Context, program: Program) -> Request:
        """Return what the model is asked about a program."""
        checked = replace(context.parent, program=program)
        shown = replace(context, parent=checked, inspirations=(), attempts=(), hints=())
        return Request(self._writer.write(shown), seed=context.seed)

    async def __call__(self, context: Context, candidate: Candidate) -> Rejected | None:
        """Return the refusal of a candidate, with the model's reasons, or None."""
        request = self.request(context, candidate.program)
        completion = await context.complete(self.model, request)
        verdicts = _VERDICT.findall(completion.text)
        if not verdicts or verdicts[-1] == "ACCEPT":
            return None
        return Rejected("constraint", completion.text.strip()[:2000])
