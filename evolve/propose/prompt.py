"""Prompts: Jinja templates filled from a `Context`.

What programs and evaluators wrote is quoted between boundary lines whose token is drawn for each
prompt, so that no quoted text can end its quotation or pass for an instruction. Templates of the
same names in a folder of one's own replace the built-in ones (`templates/*.j2`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field

from evolve.config.models import Section
from evolve.config.problem import Problem
from evolve.core.errors import ConfigError
from evolve.core.program import START, Program
from evolve.core.syntax import parse_quietly
from evolve.llm.base import Message
from evolve.propose.base import Context, Individual

_BUILT_IN = Path(__file__).parent / "templates"
_Characters = Annotated[int, Field(ge=0)]


class Caps(Section):
    """The longest that each part of a prompt may be, in characters; 0 leaves the part out."""

    statement: _Characters = Field(default=20_000, description="the problem's prompt.md")
    source: _Characters = Field(default=60_000, description="the program to be changed")
    feedback: _Characters = Field(default=4_000, description="what the evaluator said of it")
    stderr: _Characters = Field(default=2_000, description="the end of what it printed to stderr")
    inspiration: _Characters = Field(default=8_000, description="each other program")


@dataclass(frozen=True, slots=True)
class _Quotation:
    """A text that is data, under a label."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A program as templates see it."""

    objective: float
    measures: Mapping[str, float]
    metrics: Mapping[str, float]
    sources: tuple[_Quotation, ...]
    notes: tuple[_Quotation, ...] = ()


class PromptWriter:
    """Write the messages of one operator's prompts.

    Args:
        template: File name of the user message's template.
        template_dir: Folder whose templates go before the built-in ones.
        caps: Longest parts.

    Raises:
        ConfigError: the folder does not exist, or a template cannot be compiled.
    """

    def __init__(self, template: str, *, template_dir: Path | None, caps: Caps) -> None:
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
        self._caps = caps
        try:
            self._system = environment.get_template("system.j2")
            self._user = environment.get_template(template)
        except TemplateError as error:
            raise _template_error(error, template) from error

    def write(self, context: Context) -> tuple[Message, ...]:
        """Return a system and a user message; they depend on ``context`` alone.

        Raises:
            ConfigError: a template asks for something that is not there.
        """
        parent = self._parent(context.parent)
        others = [
            self._inspiration(individual)
            for individual in context.inspirations
            if individual.program != context.parent.program and self._caps.inspiration
        ]
        quoted = [q.text for shown in (parent, *others) for q in (*shown.sources, *shown.notes)]
        token = _draw_token(context.rng, quoted)

        def quote(quotation: _Quotation) -> str:
            return f"BEGIN {token} {quotation.label}\n{quotation.text}\nEND {token}"

        values = {
            "token": token,
            "quote": quote,
            "problem": context.problem,
            "statement": clip(context.problem.statement, self._caps.statement),
            "signature": _signature(context.problem),
            "marked": any(START in text for text in context.parent.program.files.values()),
            "parent": parent,
            "inspirations": others,
        }
        return (
            Message("system", _render(self._system, values)),
            Message("user", _render(self._user, values)),
        )

    def _parent(self, individual: Individual) -> _Shown:
        evaluation, caps = individual.evaluation, self._caps
        notes = [
            _Quotation("feedback of the evaluator", clip(evaluation.feedback, caps.feedback)),
            _Quotation("end of stderr", clip(evaluation.stderr, caps.stderr, keep="end")),
        ]
        files = individual.program.files.items()
        return _show(
            individual,
            sources=tuple(_within(((f"file {path}", text) for path, text in files), caps.source)),
            notes=tuple(note for note in notes if note.text.strip()),
        )

    def _inspiration(self, individual: Individual) -> _Shown:
        texts = _editable(individual.program)
        return _show(individual, sources=tuple(_within(texts, self._caps.inspiration)))


def clip(text: str, limit: int, *, keep: Literal["start", "end"] = "start") -> str:
    """Return ``text`` without trailing white space, cut to ``limit`` characters with a note.

    Characters that cannot be encoded are replaced.
    """
    text = text.encode("utf-8", "replace").decode().rstrip()
    left_out = len(text) - limit
    if left_out <= 0:
        return text
    if limit == 0:
        return ""
    note = f"[... {left_out} characters left out ...]"
    return f"{text[:limit]}\n{note}" if keep == "start" else f"{note}\n{text[-limit:]}"


def _show(
    individual: Individual,
    *,
    sources: tuple[_Quotation, ...],
    notes: tuple[_Quotation, ...] = (),
) -> _Shown:
    score = individual.evaluation.score
    if score is None:
        raise ValueError(f"individual {individual.id} has no score")
    return _Shown(score.objective, score.measures, score.metrics, sources, notes)


def _editable(program: Program) -> Iterator[tuple[str, str]]:
    """Yield a label and the text of each evolve block."""
    for region in program.regions:
        yield f"{region.path} from line {region.first + 1}", program.text(region)


def _within(texts: Iterator[tuple[str, str]], limit: int) -> Iterator[_Quotation]:
    """Yield quotations that together hold no more than ``limit`` characters."""
    for label, text in texts:
        yield _Quotation(label, clip(text, limit))
        limit = max(limit - len(text), 0)


def _draw_token(rng: np.random.Generator, quoted: list[str]) -> str:
    """Draw a boundary token that occurs in none of the quoted texts."""
    while True:
        token = rng.bytes(8).hex()
        if not any(token in text for text in quoted):
            return token


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
    path, _, function = problem.entrypoint.rpartition(":")
    seed = problem.seed_program
    return _signature_of(seed.files.get(path or seed.main, ""), function)
