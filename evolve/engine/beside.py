"""What is known of model calls that write no program: grades, checks, embeddings, instructions.

They are part of what a run costs, so a forecast counts them; see `evolve.engine.foresight`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evolve.config.file import Loaded
from evolve.config.models import ModelConfig, RunConfig
from evolve.engine.assemble import Parts, writers
from evolve.engine.forecast import Beside, ModelFacts, Span
from evolve.llm.base import Request
from evolve.propose.base import Context
from evolve.propose.grade import Grader
from evolve.propose.llm import LLMProposer
from evolve.store.reader import Reader

#: Characters of a token, fewest and most.
CHARACTERS = (2.8, 4.8)
#: Grades of an evaluation by each question: where all programs are graded, and where those are
#: that are better than their parent.
GRADED = {"all": Span(0.5, 1.0), "improved": Span(0.03, 0.4)}
#: Checks of a proposal, of what it made and of what it made again.
CHECKS = Span(0.5, 1.3)
#: Tokens of a grade or a verdict with its reasons, and of an instruction.
VERDICT, INSTRUCTION = (5.0, 500.0), (30.0, 600.0)
#: Seconds of a call that embeds.
EMBEDDING_S = Span(0.05, 1.0)


class Asking(NamedTuple):
    """An operator that asks a model, its share of the proposals, and what it is given first."""

    operator: LLMProposer
    share: float
    context: Context


@dataclass(frozen=True, slots=True)
class Known:
    """What calls beside are reckoned from.

    Attributes:
        loaded: The configuration.
        parts: The open run.
        asking: The operators that ask models.
        past: Those whose earlier calls are known, their checks by the same model among them.
        reader: A database that may hold earlier runs; None for none.
    """

    loaded: Loaded[RunConfig]
    parts: Parts
    asking: Sequence[Asking]
    past: frozenset[str]
    reader: Reader | None

    def config(self, model: str) -> ModelConfig:
        """Return what a model is configured as."""
        return next(each for each in self.loaded.config.models if each.id == model)

    def call(self, model: str, request: Request, reply: tuple[float, float]) -> ModelFacts:
        """Return what one call is assumed to be, by the length of its prompt."""
        return assumed_call(self.config(model), self.parts, [characters(request)], reply)


def calls_beside(known: Known, told: list[str]) -> tuple[Beside, ...]:
    """Return the calls that write no program; add to ``told`` what they are."""
    found = [*_grades(known, told), *_checks(known), *_embeddings(known), *_instructions(known)]
    for what in dict.fromkeys(each.what for each in found):
        models = ", ".join(dict.fromkeys(each.model for each in found if each.what == what))
        told.append(f"{what} by {models} are counted")
    return tuple(found)


def assumed_call(
    config: ModelConfig, parts: Parts, lengths: Iterable[int], reply: tuple[float, float]
) -> ModelFacts:
    """Return what a model's call is assumed to be, without anything known of its replies.

    Args:
        config: The model.
        parts: Know its price.
        lengths: Characters of prompts.
        reply: Tokens, fewest and most; no more than the model may write.
    """
    known = sorted(lengths)
    return ModelFacts(
        Span(known[0] / CHARACTERS[1], known[-1] / CHARACTERS[0]),
        Span(min(reply[0], config.max_tokens), min(reply[1], config.max_tokens)),
        None,
        parts.prices[config.id].price,
        config.concurrency,
    )


def characters(request: Request) -> int:
    """Return the length of a request's messages."""
    return sum(len(message.content) for message in request.messages)


def _grades(known: Known, told: list[str]) -> Iterator[Beside]:
    config, parts = known.loaded.config, known.parts
    by_model: dict[str, list[Grader]] = {}
    for each in config.grades:
        model = each.model or writers(config)[0]
        by_model.setdefault(model, []).append(Grader(each, model, parts.problem))
    for model, graders in by_model.items():
        past = known.reader and known.reader.past_grades(parts.evaluate.version, model)
        if past:
            told.append(
                f"{model}: in earlier runs an evaluation had {past.each:.2g} grades of "
                f"{past.input:.0f} tokens in and {past.output:.0f} out"
            )
            spans = [Span(mean, mean).times(0.8, 1.25) for mean in past]
            price, at_once = parts.prices[model].price, known.config(model).concurrency
            call = ModelFacts(spans[1], spans[2], spans[3], price, at_once)
            yield Beside("grades", model, call, evaluations=spans[0])
            continue
        for grader in graders:
            request = grader.request(parts.problem.seed_program)
            call = known.call(model, request, VERDICT)
            yield Beside("grades", model, call, evaluations=GRADED[grader.config.programs])


def _checks(known: Known) -> Iterator[Beside]:
    for operator, share, context in known.asking:
        verifier = operator.verifier
        if verifier is None:
            continue
        if operator.name in known.past and verifier.model == operator.model:
            continue  # they are among that model's earlier calls
        request = verifier.request(context, context.parent.program)
        call = known.call(verifier.model, request, VERDICT)
        yield Beside("checks", verifier.model, call, CHECKS.times(share, share))


def _embeddings(known: Known) -> Iterator[Beside]:
    for operator, share, context in known.asking:
        novelty, program = operator.novelty, context.parent.program
        if novelty is None:
            continue
        length = sum(len(program.text(region)) for region in program.regions)
        config = known.config(novelty.model)
        call = assumed_call(config, known.parts, [length], (0.0, 0.0))
        both = call.input.times(1.0, 2.0)  # now and then of the programs shown, too
        call = replace(call, input=both, latency_s=EMBEDDING_S)
        yield Beside("embeddings", novelty.model, call, CHECKS.times(share, share))


def _instructions(known: Known) -> Iterator[Beside]:
    instructor = known.parts.portfolio.instructor
    if instructor is None or not instructor.pool.config.every or not known.asking:
        return
    context = known.asking[0].context
    call = known.call(instructor.model, instructor.operator(0).request(context), INSTRUCTION)
    each = 1 / (instructor.pool.config.every - 1)  # for each proposal of a program
    yield Beside("instructions", instructor.model, call, Span(each, each))
