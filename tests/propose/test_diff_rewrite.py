"""The operators that ask a model, from context to candidate, through a real client and server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from evolve.config.models import ModelConfig, ProposerConfig
from evolve.core.program import Program
from evolve.llm.base import Completion
from evolve.llm.registry import open_models
from evolve.propose.base import Candidate, Context, Proposed, Rejected
from evolve.propose.diff import DiffProposer
from evolve.propose.llm import LLMProposer
from evolve.propose.portfolio import open_proposers
from evolve.propose.rewrite import RewriteProposer
from tests.fake_llm_server import Call, FakeLLMServer, Reply
from tests.propose import situations

SEED = """import math

# EVOLVE-BLOCK-START
def pack(n):
    return [1 / n] * n
# EVOLVE-BLOCK-END
"""
EDIT = """Larger radii fit.

<<<<<<< SEARCH
    return [1 / n] * n
=======
    return [2 / n] * n
>>>>>>> REPLACE
"""
REWRITE = f"Larger radii fit.\n\n```python\n{SEED.replace('1 / n', '2 / n')}```\n"
IMPROVED = SEED.replace("1 / n", "2 / n")

PARENT = situations.individual(7, SEED)


def operator(kind: str) -> LLMProposer:
    made = DiffProposer if kind == "diff" else RewriteProposer
    return made(model="openai/m", folder=Path())


def interpret(
    reply: str | Completion, kind: str = "diff", source: str = SEED
) -> Candidate | Rejected:
    completion = Completion(reply) if isinstance(reply, str) else reply
    return operator(kind).interpret(context(Program({"solve.py": source})), completion)


def context(program: Program) -> Context:
    return situations.context(replace(PARENT, program=program), seed=11)


def propose(kind: str, vendor: str, server: FakeLLMServer) -> Proposed:
    url = server.openai_url if vendor == "openai" else server.anthropic_url
    config = ModelConfig(id=f"{vendor}/m", base_url=url)

    async def main() -> Proposed:
        async with open_models([config], Path()) as models:
            portfolio = open_proposers([ProposerConfig(kind=kind)], list(models), Path())
            asked = replace(
                context(PARENT.program),
                complete=lambda model, request: models[model].complete(request),
            )
            return await portfolio.proposers[0].propose(asked)

    return anyio.run(main)


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize(("kind", "reply"), [("diff", EDIT), ("rewrite", REWRITE)])
def test_a_reply_becomes_a_candidate(kind: str, reply: str, vendor: str) -> None:
    def answer(call: Call) -> Reply:
        assert "return [1 / n] * n" in call.prompt
        return Reply(reply)

    with FakeLLMServer(answer) as server:
        candidate = propose(kind, vendor, server)
    assert isinstance(candidate, Candidate)
    assert candidate.program.files == {"solve.py": IMPROVED}
    assert candidate.parents == (7,)
    assert candidate.summary == "Larger radii fit."
    if vendor == "openai":
        assert server.calls[0].body["seed"] == 11


@pytest.mark.parametrize("kind", ["diff", "rewrite"])
@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (Completion("I cannot help with that.", "refusal"), "refusal"),
        (Completion("", "empty"), "empty"),
        (Completion("  \n"), "empty"),
        (Completion(EDIT, "length"), "truncated"),
        (Completion("You could try larger radii."), "no_edit"),
    ],
)
def test_replies_without_a_whole_answer_are_rejected(
    kind: str, completion: Completion, reason: str
) -> None:
    result = interpret(completion, kind)
    assert isinstance(result, Rejected)
    assert (result.reason, bool(result.message)) == (reason, True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (EDIT.replace("[1 / n]", "[3 / n]"), "not_found"),
        (EDIT.replace("    return [1 / n] * n", "import math"), "outside_blocks"),
        (EDIT.replace("[2 / n]", "[1 / n]"), "no_op"),
        (EDIT.replace("[2 / n]", "[2 / n"), "syntax"),
        (EDIT.replace("[2 / n]", "[2 / n] \0"), "syntax"),
        (EDIT.replace("[2 / n]", "(" * 5000 + ")" * 5000), "syntax"),
        (EDIT.partition(">>>>>>>")[0], "malformed"),
    ],
)
def test_edits_that_do_not_apply_are_rejected_with_the_reason(reply: str, reason: str) -> None:
    result = interpret(reply)
    assert isinstance(result, Rejected)
    assert (result.reason, bool(result.message)) == (reason, True)


def test_a_syntax_error_names_file_line_and_text() -> None:
    result = interpret(EDIT.replace("[2 / n]", "[2 / n"))
    assert isinstance(result, Rejected)
    assert result.message.startswith("solve.py:5: ")
    assert "return [2 / n * n" in result.message


def test_an_odd_escape_is_no_syntax_error() -> None:
    assert isinstance(interpret(EDIT.replace("[2 / n]", r"['\d']")), Candidate)


def test_other_languages_are_not_parsed() -> None:
    program = Program({"solve.cpp": "// EVOLVE-BLOCK-START\nint a = 1;\n// EVOLVE-BLOCK-END\n"})
    reply = "<<<<<<< SEARCH\nint a = 1;\n=======\nint a = 2;\n>>>>>>> REPLACE\n"
    result = operator("diff").interpret(context(program), Completion(reply))
    assert isinstance(result, Candidate)
    assert result.summary == ""


def test_the_summary_is_not_the_models_thinking() -> None:
    result = interpret(f"<think>\nHmm.\n</think>\n{EDIT}")
    assert isinstance(result, Candidate)
    assert result.summary == "Larger radii fit."
