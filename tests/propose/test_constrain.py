"""Edits that a constrained model can make: all of them apply, and those of Python compile."""

from __future__ import annotations

import ast
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from evolve.config.models import ModelConfig, ProposerConfig
from evolve.core.errors import ConfigError, ModelUnavailable, PatchError
from evolve.core.patch import apply_patch, parse_patch
from evolve.core.program import Program
from evolve.llm.base import Constraint, Message, Request
from evolve.llm.registry import open_model, open_models
from evolve.propose.base import Candidate, Proposed
from evolve.propose.constrain import edit_grammar, edit_schema, edits_of_json
from evolve.propose.diff import DiffProposer
from evolve.propose.editable import editables
from evolve.propose.portfolio import open_proposers
from tests.fake_llm_server import Call, FakeLLMServer, Reply
from tests.propose.gbnf import Sampler
from tests.propose.test_diff_rewrite import context

ROOT = Path(__file__).parents[2]
CPP = """#include <cstdio>
// EVOLVE-BLOCK-START
int f(int x) {
    int y = 2 * x;
    return y + 1;
}
// EVOLVE-BLOCK-END
int main() { std::printf("%d", f(2)); }
"""
NESTED = '''\
import math

# EVOLVE-BLOCK-START
def pack(xs, flag=True):
    """Sum things."""
    total = 0
    for x in xs:
        if x > 2:
            total += math.sqrt(x)
        else:
            total -= 1
    try:
        total /= len(xs)
    except ZeroDivisionError:
        pass
    return total


LIMIT = 3


class Helper:
    def twice(self, x):
        y = (
            2 * x
        )
        return y
# EVOLVE-BLOCK-END
'''
PROGRAMS = {
    "nested": Program({"f.py": NESTED}),
    "two files": Program({"f.py": NESTED, "g.py": NESTED.replace("total", "count")}),
    "tabs": Program({"f.py": NESTED.replace("    ", "\t")}),
    "cpp": Program({"f.cpp": CPP}),
    **{
        path.parent.name: Program({"seed.py": path.read_text()})
        for path in sorted((ROOT / "problems").glob("*/seed.py"))
    },
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_reply_that_the_grammar_allows_applies_and_compiles(name: str) -> None:
    program = PROGRAMS[name]
    sampler = Sampler(edit_grammar(program), np.random.default_rng(len(name)))
    quoted: Counter[str] = Counter()
    for _ in range(100):
        reply = sampler.draw()
        hunks = parse_patch(reply)
        quoted[hunks[0].search] += 1
        if hunks[0].search == hunks[0].replace:
            continue
        edited = apply_patch(program, hunks)
        for path, text in edited.files.items():
            if path.endswith(".py"):
                ast.parse(text)
    assert len(quoted) >= min(3, len(editables(program)))
    assert set(quoted) <= {each.text for each in editables(program)}


def test_only_whole_statements_inside_functions_are_taken() -> None:
    texts = [each.text for each in editables(PROGRAMS["nested"])]
    assert "    total = 0\n" in texts
    assert "        y = (\n            2 * x\n        )\n        return y\n" in texts
    assert "            total += math.sqrt(x)\n" in texts
    assert not any("def " in text or "LIMIT" in text or text[4:8] == "else" for text in texts)
    assert "        y = (\n" not in texts


def test_lines_that_occur_twice_are_not_offered() -> None:
    twice = "# EVOLVE-BLOCK-START\nint a = 1;\nint a = 1;\nint b = 2;\n# EVOLVE-BLOCK-END\n"
    texts = [each.text for each in editables(Program({"f.cpp": twice}))]
    assert "int a = 1;\n" not in texts
    assert "int a = 1;\nint b = 2;\n" in texts


def test_the_schema_offers_the_same_and_its_replies_apply() -> None:
    program = PROGRAMS["cpp"]
    schema: Any = edit_schema(program)
    offered = schema["properties"]["edits"]["items"]["properties"]["search"]["enum"]
    assert offered == [each.text for each in editables(program)]
    for search in offered:
        reply = {"summary": "s", "edits": [{"search": search, "replace": "    int z = 0;"}]}
        edited = apply_patch(program, edits_of_json(json.dumps(reply)))
        assert "int z = 0;\n" in edited.files["f.cpp"]


@pytest.mark.parametrize("reply", ["", "no", "[]", "{}", '{"edits": [{"search": 3}]}', "[" * 9999])
def test_what_is_not_the_json_asked_for_is_no_edit(reply: str) -> None:
    with pytest.raises(PatchError, match="not the JSON"):
        edits_of_json(reply)


def propose(
    reply: str, constrain: str, *, program: Program = PROGRAMS["nested"], **model: Any
) -> tuple[Proposed, Call]:
    """Have a constrained diff operator ask a server; return what came of it and the request."""

    async def main(server: FakeLLMServer) -> Proposed:
        url = server.anthropic_url if model["id"].startswith("anthropic") else server.openai_url
        config = ModelConfig.model_validate({"base_url": url, **model})
        options: dict[str, Any] = {"constrain": constrain, "mends": 0}
        async with open_models([config], Path()) as models:
            portfolio = open_proposers(
                [ProposerConfig(kind="diff", options=options)], list(models), Path()
            )
            asked = replace(
                context(program), complete=lambda name, request: models[name].complete(request)
            )
            return await portfolio.proposers[0].propose(asked)

    with FakeLLMServer([Reply(reply)]) as server:
        result = anyio.run(main, server)
    (call,) = server.calls
    return result, call


EDIT = "<<<<<<< SEARCH\n    total = 0\n=======\n    total = 1\n>>>>>>> REPLACE\n"
JSON = json.dumps(
    {
        "summary": "Start at one.",
        "edits": [{"search": "    total = 0\n", "replace": "    total = 1"}],
    }
)


@pytest.mark.parametrize("field", ["grammar", "guided_grammar"])
def test_a_request_carries_the_grammar_where_the_server_takes_it(field: str) -> None:
    result, call = propose(EDIT, "grammar", id="openai/m", grammar_field=field)
    assert isinstance(result, Candidate)
    assert call.body[field] == edit_grammar(PROGRAMS["nested"])
    assert "response_format" not in call.body


@pytest.mark.parametrize("model", ["openai/m", "anthropic/m", "openai/m responses"])
def test_a_request_carries_the_schema_in_each_protocol(model: str) -> None:
    name, _, api = model.partition(" ")
    result, call = propose(JSON, "json_schema", id=name, api=api or "chat")
    assert isinstance(result, Candidate)
    assert "total = 1\n" in result.program.files["f.py"]
    assert result.summary == "Start at one."
    schema = edit_schema(PROGRAMS["nested"])
    if api:
        assert call.body["text"]["format"]["schema"] == schema
    elif name == "openai/m":
        assert call.body["response_format"]["json_schema"]["schema"] == schema
    else:
        assert call.body["output_config"]["format"] == {"type": "json_schema", "schema": schema}
    assert "one JSON object" in call.prompt


def test_without_a_constraint_nothing_is_asked_of_the_server() -> None:
    _, call = propose(EDIT, "none", id="openai/m")
    assert not {"grammar", "response_format"} & set(call.body)


def test_where_nothing_can_be_quoted_the_model_is_free() -> None:
    bare = Program({"f.py": "# EVOLVE-BLOCK-START\nX = 1\n# EVOLVE-BLOCK-END\n"})
    _, call = propose("words", "grammar", program=bare, id="openai/m")
    assert "grammar" not in call.body


def test_the_request_as_stored_holds_its_constraint() -> None:
    plain = Request((Message("user", "x"),))
    bound = replace(plain, constraint=Constraint(grammar="root ::= [a]"))
    assert json.loads(bound.to_json())["constraint"] == {"grammar": "root ::= [a]"}
    assert "constraint" not in json.loads(plain.to_json())
    assert plain.sha256 != bound.sha256


def test_an_api_without_grammars_says_so() -> None:
    config = ModelConfig(id="anthropic/m", base_url="http://127.0.0.1:9")
    request = Request((Message("user", "x"),), constraint=Constraint(grammar="root ::= [a]"))

    async def main() -> None:
        model = open_model(config, Path())
        with pytest.raises(ModelUnavailable, match="constrain: json_schema"):
            await model.complete(request)
        await model.aclose()

    anyio.run(main)


def test_an_operator_that_cannot_be_constrained_says_so() -> None:
    with pytest.raises(ConfigError, match="rewrite cannot be constrained"):
        open_proposers(
            [ProposerConfig(kind="rewrite", options={"constrain": "grammar"})],
            ["openai/m"],
            Path(),
        )
    assert DiffProposer(model="m", folder=Path()).constrain == "none"
