"""What the operators that ask a model share: ask, then turn the reply into a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from pydantic import validate_call

from evolve.core.errors import PatchError
from evolve.core.hunks import without_thoughts
from evolve.core.program import Program
from evolve.llm.base import Completion, Request
from evolve.propose.base import Candidate, Context, Individual, Rejected
from evolve.propose.prompt import Caps, PromptWriter
from evolve.propose.syntax import syntax_error

#: Longest summary kept with a candidate, in characters.
_SUMMARY = 300
_DEFAULT_CAPS = Caps()


class LLMProposer(ABC):
    """An operator that asks one model once. Safe for concurrent use within one event loop.

    Args:
        model: Id of a configured model; the first one when the configuration names none.
        folder: The configuration's folder.
        template_dir: Folder, relative to that one, whose templates replace the built-in ones.
        caps: Longest parts of a prompt, in characters.

    Raises:
        ConfigError: a template is missing or broken.
    """

    name: ClassVar[str]
    arbitrary_code = True

    @validate_call
    def __init__(
        self,
        *,
        model: str,
        folder: Path,
        template_dir: str | None = None,
        caps: Caps = _DEFAULT_CAPS,
    ) -> None:
        self.model = model
        templates = None if template_dir is None else folder / template_dir
        self._writer = PromptWriter(f"{self.name}.j2", template_dir=templates, caps=caps)

    @abstractmethod
    def _edit(self, program: Program, reply: str) -> Program:
        """Apply the reply.

        Raises:
            PatchError: it does not apply.
        """

    def request(self, context: Context) -> Request:
        """Return what the model is asked; it depends on ``context`` alone."""
        return Request(self._writer.write(context), seed=context.seed)

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Ask the model for a change of the parent."""
        completion = await context.complete(self.model, self.request(context))
        return self.interpret(context.parent, completion)

    def interpret(self, parent: Individual, completion: Completion) -> Candidate | Rejected:
        """Turn a reply, fresh or stored, into what it proposes."""
        unusable = _unusable(completion)
        if unusable is not None:
            return unusable
        try:
            program = self._edit(parent.program, completion.text)
        except PatchError as error:
            return Rejected(str(error.reason), str(error))
        if program == parent.program:
            return Rejected("no_op", "the edit leaves the program as it was")
        wrong = syntax_error(program, parent.program)
        if wrong is not None:
            return Rejected("syntax", wrong)
        return Candidate(program, (parent.id,), summary=_summary(completion.text))


def _unusable(completion: Completion) -> Rejected | None:
    """Say why a reply cannot hold a whole answer, if it cannot."""
    if completion.finish == "refusal":
        return Rejected("refusal", f"the model refused: {completion.text.strip()[:500]}")
    if completion.finish == "length":  # even whole hunks may count on the one that was cut off
        return Rejected(
            "truncated",
            f"the reply was cut off after {completion.tokens.output} tokens; raise the model's "
            "max_tokens",
        )
    if not completion.text.strip():
        return Rejected("empty", "the reply holds no text")
    return None


def _summary(reply: str) -> str:
    """Return the sentence that a reply opens with, when it opens with one."""
    first = without_thoughts(reply).strip().partition("\n")[0].strip()
    is_code = first.startswith(("```", "<<<"))
    return "" if is_code else first[:_SUMMARY]
