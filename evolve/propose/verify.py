"""A model checks a candidate against the problem's constraints before an evaluation is spent.

The verification agent of PlanGEN (Parmar et al., 2025), with one call: the constraints are those
that the problem states.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

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
        self._model = model
        self._writer = PromptWriter("verify.j2", template_dir=template_dir, tokens=tokens)

    async def __call__(self, context: Context, candidate: Candidate) -> Rejected | None:
        """Return the refusal of a candidate, with the model's reasons, or None."""
        checked = replace(context.parent, program=candidate.program)
        shown = replace(context, parent=checked, inspirations=(), attempts=(), hints=())
        request = Request(self._writer.write(shown), seed=context.seed)
        completion = await context.complete(self._model, request)
        verdicts = _VERDICT.findall(completion.text)
        if not verdicts or verdicts[-1] == "ACCEPT":
            return None
        return Rejected("constraint", completion.text.strip()[:2000])
