"""What the operators that ask a model share: ask, then turn the reply into a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, validate_call

from evolve.core.errors import ConfigError, PatchError
from evolve.core.hunks import without_thoughts
from evolve.core.program import Program
from evolve.llm.base import Completion, Constraint, Message, Request
from evolve.propose.admission import refusal
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.novelty import Novelty
from evolve.propose.prompt import PromptWriter, TokenBudget
from evolve.propose.quoting import Quotation
from evolve.propose.verify import Verifier

#: Longest summary kept with a candidate, in characters.
_SUMMARY = 300
_DEFAULT_TOKENS = TokenBudget()
_NOT_MENDED = frozenset(("refusal", "truncated", "empty", "no_op", "constraint"))
#: How a server is to be bound in what it says.
Constrain: TypeAlias = Literal["none", "grammar", "json_schema"]
Probability = Annotated[float, Field(ge=0, le=1)]


class LLMProposer(ABC):
    """An operator that asks a model. Safe for concurrent use within one event loop.

    Args:
        model: Id of a configured model; the first one when the configuration names none.
        folder: The configuration's folder.
        template_dir: Folder, relative to that one, whose templates replace the built-in ones.
        tokens: Longest parts of a prompt.
        mends: How often an answer that does not apply goes back, with what is wrong with it.
        variants: Probability of each variant of the prompt, by the name of its template in
            ``variants/``; what is left of 1 is the probability of none.
        novelty: An embedding model tells candidates that are nearly a known program; see
            `Novelty`. None for no check.
        verifier: Id of a configured model that checks candidates against the problem's
            constraints before an evaluation is spent; None for no check.
        constrain: Have the server decode under a ``grammar`` or a ``json_schema`` made from the
            program at hand, where operator and server can.
        images: How many images of the parent are shown to a model that can see.
        vision: Whether the model can; from its configuration.

    Raises:
        ConfigError: a template is missing or broken, the probabilities pass 1, or the operator
            cannot be constrained.
    """

    name: ClassVar[str]
    arbitrary_code = True
    instructed = True
    #: Templates of messages after the first.
    later: ClassVar[tuple[str, ...]] = ()
    usual_variants: ClassVar[Mapping[str, float]] = {}
    #: Constraints beside ``none`` that the operator can make.
    constraints: ClassVar[tuple[Constrain, ...]] = ()

    @validate_call
    def __init__(  # noqa: PLR0913 - the options of a configuration file
        self,
        *,
        model: str,
        folder: Path,
        template_dir: str | None = None,
        tokens: TokenBudget = _DEFAULT_TOKENS,
        mends: Annotated[int, Field(ge=0)] = 1,
        variants: dict[str, Probability] | None = None,
        novelty: Novelty | None = None,
        verifier: str | None = None,
        constrain: Constrain = "none",
        images: Annotated[int, Field(ge=0)] = 2,
        vision: bool = False,
    ) -> None:
        if constrain not in ("none", *self.constraints):
            raise ConfigError(f"the operator {self.name} cannot be constrained by a {constrain}")
        self.model = model
        self.constrain = constrain
        self._mends = mends
        self._variants = dict(self.usual_variants if variants is None else variants)
        if sum(self._variants.values()) > 1 + 1e-9:
            raise ConfigError(f"the probabilities of variants pass 1: {self._variants}")
        templates = None if template_dir is None else folder / template_dir
        self._writer = PromptWriter(
            self._template(),
            template_dir=templates,
            tokens=tokens,
            later=("mend.j2", *self.later, *map(_variant_file, self._variants)),
            images=images if vision else 0,
        )
        self.novelty = novelty
        self.verifier = Verifier(verifier, templates, tokens) if verifier else None

    @abstractmethod
    def _edit(self, program: Program, reply: str) -> Program:
        """Apply the reply.

        Raises:
            PatchError: it does not apply.
        """

    def _template(self) -> str:
        """Return the name of the first message's template."""
        return f"{self.name}.j2"

    def _constraint(self, program: Program) -> Constraint | None:  # noqa: ARG002 - the default
        """Return what a reply about ``program`` must look like."""
        return None

    def _summary(self, reply: str) -> str:
        """Return what a reply says that it does."""
        return summary_of(reply)

    def prepared(self, context: Context) -> Context:
        """Return the context as the operator uses it; doing so twice changes nothing."""
        return context

    def request(self, context: Context) -> Request:
        """Return what the model is asked first; it depends on ``context`` alone."""
        context = self.prepared(context)
        variant = self._draw_variant(context.rng)
        text = self._writer.later(_variant_file(variant), context).content if variant else ""
        messages = self._writer.write(context, variant=text)
        form = self._constraint(context.parent.program)
        return Request(messages, seed=context.seed, constraint=form)

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Ask the model for a change of the parent."""
        context = self.prepared(context)
        return await self._settle(context, self.request(context))

    def parents(self, context: Context) -> tuple[int, ...]:
        """Return the ids that a candidate derives from, the varied one first."""
        return (context.parent.id,)

    async def _settle(self, context: Context, request: Request) -> Candidate | Rejected:
        """Ask, turn the reply into a candidate, and let the model mend what does not apply."""
        again = {"too_similar": self.novelty.resamples if self.novelty else 0}
        while True:
            completion = await context.complete(self.model, request)
            result = self.interpret(context, completion)
            if isinstance(result, Candidate):
                result = await self._checked(context, result)
            if isinstance(result, Candidate):
                return result
            kind = result.reason if result.reason in again else "mend"
            left = again.setdefault(kind, self._mends)
            if result.reason in _NOT_MENDED or not left:
                return result
            again[kind] = left - 1
            wrong = Quotation("what is wrong", f"{result.reason}: {result.message}")
            message = self._writer.later("mend.j2", context, wrong=wrong)
            request = self._next(request, completion, message)

    def _next(self, request: Request, completion: Completion, message: Message) -> Request:
        """Go on with a conversation."""
        said = Message("assistant", completion.text)
        return replace(request, messages=(*request.messages, said, message))

    async def _checked(self, context: Context, candidate: Candidate) -> Candidate | Rejected:
        """Spend what checks were asked for before an evaluation."""
        for check in (self.novelty, self.verifier):
            refused = None if check is None else await check(context, candidate)
            if refused is not None:
                return refused
        return candidate

    def interpret(self, context: Context, completion: Completion) -> Candidate | Rejected:
        """Turn a reply into what it proposes."""
        unusable = unusable_reply(completion)
        if unusable is not None:
            return unusable
        parent, problem = context.parent.program, context.problem
        try:
            program = self._edit(parent, completion.text)
        except PatchError as error:
            return Rejected(str(error.reason), str(error))
        refused = refusal(program, parent, problem)
        if refused is not None:
            return refused
        return Candidate(program, self.parents(context), summary=self._summary(completion.text))

    def _draw_variant(self, rng: np.random.Generator) -> str:
        """Draw the name of a variant, or nothing."""
        point = rng.random()
        for name, probability in self._variants.items():
            point -= probability
            if point < 0:
                return name
        return ""


def unusable_reply(completion: Completion) -> Rejected | None:
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


def summary_of(reply: str) -> str:
    """Return the sentence that a reply opens with, when it opens with one."""
    first = without_thoughts(reply).strip().partition("\n")[0].strip()
    is_code = first.startswith(("```", "<<<"))
    return "" if is_code else first[:_SUMMARY]


def _variant_file(name: str) -> str:
    return f"variants/{name}.j2"
