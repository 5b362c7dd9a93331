"""Prompts: Jinja templates filled from a `Context`.

What programs and evaluators wrote is quoted between boundary lines whose token is drawn for each
prompt, so that no quoted text can end its quotation or pass for an instruction. Templates of the
same names in a folder of one's own replace the built-in ones (`templates/*.j2`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, TypedDict

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field

from evolve.config.problem import Problem
from evolve.config.section import Section
from evolve.core.errors import ConfigError
from evolve.core.evaluation import Evaluation
from evolve.core.program import START, Program
from evolve.core.syntax import parse_quietly
from evolve.llm.base import Image, Message
from evolve.propose.base import Attempt, Context, Individual
from evolve.propose.quoting import Quotation, clip, draw_token, newest, one_line, quote, within
from evolve.propose.tokens import estimate

_BUILT_IN = Path(__file__).parent / "templates"
_Tokens = Annotated[int, Field(ge=0)]


class TokenBudget(Section):
    """The most tokens that each part of a prompt may take, as estimated; 0 leaves the part out."""

    statement: _Tokens = Field(default=5_000, description="the problem's prompt.md")
    source: _Tokens = Field(default=15_000, description="the program to be changed")
    feedback: _Tokens = Field(default=1_000, description="what the evaluator said of it")
    cases: _Tokens = Field(default=500, description="how it did case by case")
    artifacts: _Tokens = Field(default=1_000, description="named texts of the evaluator")
    stderr: _Tokens = Field(default=500, description="the end of what it printed to stderr")
    attempts: _Tokens = Field(default=750, description="what was tried from it before")
    inspiration: _Tokens = Field(default=2_000, description="each other program")
    prompt: Annotated[int, Field(ge=1_000)] | None = Field(
        default=None, description="the first request in all; parts are cut further to keep it"
    )


#: Parts of a prompt that is too long, in the order in which they are cut.
CUT_FIRST = (
    "artifacts",
    "stderr",
    "attempts",
    "inspiration",
    "cases",
    "feedback",
    "statement",
    "source",
)


#: Lengths tried for the part that is cut to fit.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class _Shown:
    """A program as templates see it; ``objective`` is None without a score."""

    ended: str
    objective: float | None
    measures: Mapping[str, float]
    metrics: Mapping[str, float]
    sources: tuple[Quotation, ...]
    notes: tuple[Quotation, ...] = ()


class PromptWriter:
    """Write the messages of one operator's prompts.

    Args:
        template: File name of the user message's template.
        template_dir: Folder whose templates go before the built-in ones.
        tokens: Longest parts.
        later: File names of the templates of later messages.
        system: That of the system message.
        images: How many of the parent's images the first message carries.

    Raises:
        ConfigError: the folder does not exist, or a template cannot be compiled.
    """

    def __init__(
        self,
        template: str,
        *,
        template_dir: Path | None,
        tokens: TokenBudget,
        later: Sequence[str] = (),
        system: str = "system.j2",
        images: int = 0,
    ) -> None:
        if template_dir is not None and not template_dir.is_dir():
            raise ConfigError(f"template_dir {template_dir} is not a folder")
        folders = [_BUILT_IN] if template_dir is None else [template_dir, _BUILT_IN]
        environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # the result is text for a model, not HTML
        )
        self._tokens, self._images = tokens, images
        self._templates = {
            name: _compiled(environment, name) for name in (system, template, *later)
        }
        self._system, self._user = system, template

    def write(self, context: Context, **values: object) -> tuple[Message, ...]:
        """Return a system and a user message; they depend on the arguments alone.

        Args:
            context: Of the proposal.
            values: Further names for the template, as with `later`; ``variant`` is text for the
                answer's section.

        Raises:
            ConfigError: a template asks for something that is not there.
        """
        known = {
            "variant": "",
            **self._values(context, self._tokens, _quotations(values)),
            **values,
        }
        messages = self._written(known)
        if self._tokens.prompt is not None:
            messages = self._fitted(messages, known, context, self._tokens.prompt)
        system, user = messages
        return system, replace(user, images=_images(context.parent)[: self._images])

    def _written(self, known: Mapping[str, object]) -> tuple[Message, ...]:
        return (
            Message("system", _render(self._templates[self._system], known)),
            Message("user", _render(self._templates[self._user], known)),
        )

    def _fitted(
        self,
        messages: tuple[Message, ...],
        known: Mapping[str, object],
        context: Context,
        most: int,
    ) -> tuple[Message, ...]:
        """Return messages of about ``most`` tokens, with one part after the other cut further."""
        limits = self._tokens

        def cut(part: str, limit: int) -> tuple[Message, ...]:
            nonlocal limits
            limits = limits.model_copy(update={part: min(limit, getattr(limits, part))})
            return self._written({**known, **_parts(context, limits)})

        for part in CUT_FIRST:
            if (excess := _size(messages) - most) <= 0:
                break
            whole, before = limits, _size(messages)
            messages = cut(part, 1)
            room = most - _size(messages)
            if room <= 0 or _size(messages) == before:
                continue
            for _ in range(_TRIES):
                limits = whole
                shown = len(context.inspirations) if part == "inspiration" else 1
                longer = cut(part, max(1, room // shown))
                excess = _size(longer) - most
                if excess <= 0:
                    return longer
                room -= excess
        return messages

    def later(self, template: str, context: Context, **values: object) -> Message:
        """Return a later message of the user; quotations among ``values`` can be quoted in it.

        Raises:
            ConfigError: a template asks for something that is not there.
        """
        known = {**self._values(context, self._tokens, _quotations(values)), **values}
        return Message("user", _render(self._templates[template], known))

    def _values(
        self, context: Context, limits: TokenBudget, given: Sequence[Quotation]
    ) -> dict[str, object]:
        parts = _parts(context, limits)
        parent, others, attempts = parts["parent"], parts["inspirations"], parts["attempts"]
        quoted = [q for shown in (parent, *others) for q in (*shown.sources, *shown.notes)]
        token = draw_token(context.rng, [*quoted, *given, *([attempts] if attempts else [])])
        images = [image.name for image in _images(context.parent)]
        return {
            "token": token,
            "quote": partial(quote, token=token),
            "problem": context.problem,
            "signature": _signature(context.problem),
            "command": context.problem.command,
            "marked": any(START in text for text in context.parent.program.files.values()),
            "hints": context.hints,
            "instruction": context.instruction,
            "images": images[: self._images],
            "hidden_images": images[self._images :],
            **parts,
        }


class _Parts(TypedDict):
    """What of a prompt has a length of its own."""

    statement: str
    parent: _Shown
    inspirations: list[_Shown]
    attempts: Quotation | None


def _parts(context: Context, limits: TokenBudget) -> _Parts:
    return {
        "statement": clip(context.problem.statement, limits.statement),
        "parent": _parent(context.parent, limits),
        "inspirations": [
            _inspiration(individual, limits.inspiration)
            for individual in context.inspirations
            if individual.program != context.parent.program and limits.inspiration
        ],
        "attempts": _attempts(context.attempts, limits.attempts),
    }


def _size(messages: Sequence[Message]) -> int:
    return sum(estimate(message.content) for message in messages)


def _parent(individual: Individual, limits: TokenBudget) -> _Shown:
    files = individual.program.files.items()
    sources = within(((f"file {path}", text) for path, text in files), limits.source)
    notes = (note for note in _notes(individual.evaluation, limits) if note.text.strip())
    return _show(individual, sources=tuple(sources), notes=tuple(notes))


def _notes(evaluation: Evaluation, limits: TokenBudget) -> Iterator[Quotation]:
    """Yield what is known of an evaluation beside its numbers."""
    yield Quotation("feedback of the evaluator", clip(evaluation.feedback, limits.feedback))
    if len(evaluation.cases) > 1:
        lines = [
            f"{case.case}: {case.outcome if case.score is None else case.score.objective}"
            f" {case.message if case.score is None else case.score.feedback}".strip()
            for case in evaluation.cases
        ]
        yield Quotation("case by case", clip("\n".join(lines), limits.cases))
    if evaluation.score is not None:
        artifacts = evaluation.score.artifacts.items()
        yield from within(((f"artifact {name}", t) for name, t in artifacts), limits.artifacts)
    yield Quotation("end of stderr", clip(evaluation.stderr, limits.stderr, keep="end"))


def _images(individual: Individual) -> tuple[Image, ...]:
    """Return what the evaluator drew of what a program came to."""
    score = individual.evaluation.score
    named = {} if score is None else score.images
    return tuple(Image(one_line(name), png) for name, png in named.items())


def _inspiration(individual: Individual, limit: int) -> _Shown:
    return _show(individual, sources=tuple(within(_editable(individual.program), limit)))


def _attempts(attempts: Sequence[Attempt], limit: int) -> Quotation | None:
    text, count = newest(map(_told, attempts), limit)
    return Quotation("earlier attempts", text, count) if count else None


def _quotations(values: Mapping[str, object]) -> list[Quotation]:
    """Return the quotations among the values of a template, those in tuples too."""
    flat = (
        v for value in values.values() for v in (value if isinstance(value, tuple) else [value])
    )
    return [value for value in flat if isinstance(value, Quotation)]


def _told(attempt: Attempt) -> str:
    """Return an attempt as one line."""
    ended = attempt.ended if attempt.objective is None else f"{attempt.objective:.10g}"
    why = "" if attempt.objective is not None else f" ({attempt.message[:200]})"
    summary = attempt.summary or "no summary"
    return " ".join(f"- {attempt.operator}: {summary}; ended with {ended}{why}".split())


def _show(
    individual: Individual,
    *,
    sources: tuple[Quotation, ...],
    notes: tuple[Quotation, ...] = (),
) -> _Shown:
    score, ended = individual.evaluation.score, str(individual.evaluation.outcome)
    if score is None:
        return _Shown(ended, None, {}, {}, sources, notes)
    return _Shown(ended, score.objective, score.measures, score.metrics, sources, notes)


def _editable(program: Program) -> Iterator[tuple[str, str]]:
    """Yield a label and the text of each evolve block."""
    for region in program.regions:
        yield f"{region.path} from line {region.first + 1}", program.text(region)


def _compiled(environment: ImmutableSandboxedEnvironment, name: str) -> Template:
    try:
        return environment.get_template(name)
    except TemplateNotFound as error:
        folder = name.rpartition("/")[0]
        found = [each for each in environment.list_templates() if each.rpartition("/")[0] == folder]
        raise ConfigError(f"there is no template {name}; there are: {', '.join(found)}") from error
    except TemplateError as error:
        raise _template_error(error, name) from error


def _render(template: Template, values: Mapping[str, object]) -> str:
    try:
        return template.render(values).strip()
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _template_error(error, template.name) from error


def _template_error(error: Exception, name: str | None) -> ConfigError:
    """Say what is wrong with a template, and where as far as Jinja tells."""
    path = getattr(error, "filename", None) or name or ""
    return ConfigError(f"prompt template: {error}", path=path, line=getattr(error, "lineno", 0))


@cache
def _signature_of(source: str, function: str) -> str:
    """Return the head of a top-level function; its name alone where that cannot be told."""
    tree = parse_quietly(source)
    for node in tree.body if isinstance(tree, ast.Module) else ():
        if isinstance(node, ast.FunctionDef) and node.name == function:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            return f"{function}({ast.unparse(node.args)}){returns}"
    return function


def _signature(problem: Problem) -> str:
    """Return how the evaluator calls a program; empty for one that is a command."""
    path, _, function = problem.entrypoint.rpartition(":")
    seed = problem.seed_program
    return _signature_of(seed.files.get(path or seed.main, ""), function)
