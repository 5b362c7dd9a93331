"""Sources that are hard to read: the controller parses what a model wrote, and must outlive it."""

from __future__ import annotations

import pytest

from evolve.core.code_measures import code_measures
from evolve.core.program import Program
from evolve.engine.proposing import proposed
from evolve.propose.base import Candidate, Context, Rejected

SOURCES = {
    "open brackets": "(" * 200_000,
    "signs": "x = " + "-" * 200_000 + "1",
    "attributes": "x = a" + ".b" * 2000,
    "very many attributes": "x = a" + ".b" * 100_000,
    "a long sum": "x = 1" + " + 1" * 2000,
    "a very long sum": "x = 1" + " + 1" * 100_000,
    "calls of calls": "x = a" + "()" * 2000,
    "lambdas": "x = " + "lambda: " * 20_000 + "1",
    "powers": "x = 2" + " ** 2" * 20_000,
    "comparisons": "x = a" + " < a" * 20_000,
    "branches": "if a:\n pass\n" + "elif a:\n pass\n" * 3000,
    "indentation": "".join(" " * i + "if a:\n" for i in range(99)) + " " * 99 + "pass",
    "a number of many digits": "x = " + "9" * 100_000,
    "a null byte": "x = 1\0",
    "a lone surrogate": "x = '\ud800'",
    "unfinished formats": "f'{" * 5000,
    "a long comment": "#" + "x" * 1_000_000,
    "form feeds": "\x0c" * 10_000 + "x = 1",
    "continuations": "\\\n" * 10_000 + "x = 1",
    "decorators": "@a\n" * 5000 + "def f(): pass",
}
MEASURES = ("code_length", "ast_nodes", "ast_depth", "branches")


@pytest.mark.parametrize("name", SOURCES)
def test_any_source_has_an_identity_and_measures(name: str) -> None:
    program = Program({"program.py": SOURCES[name]})
    assert program.id
    assert program.syntax_id
    assert code_measures(program, MEASURES)["code_length"] > 0


class _Deep:
    """An operator that follows a source as deep as it goes."""

    name = "deep"
    arbitrary_code = True

    async def propose(self, context: Context) -> Candidate | Rejected:
        return await self.propose(context)


@pytest.mark.anyio
async def test_an_operator_that_cannot_follow_a_program_makes_no_proposal() -> None:
    result = await proposed(_Deep(), None)  # type: ignore[arg-type]  # it looks at nothing
    assert isinstance(result, Rejected)
    assert result.reason == "syntax"
