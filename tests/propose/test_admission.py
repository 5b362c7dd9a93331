"""What ends before an evaluation is spent, and the operator that drops code."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import anyio
import pytest

from evolve.core.command import Command
from evolve.core.program import Program
from evolve.propose.admission import refusal
from evolve.propose.base import Candidate, Rejected
from evolve.propose.simplify import SimplifyProposer
from tests.propose.situations import PROBLEM, SEED, context, individual

PARENT = Program({"solve.py": SEED})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (SEED, "no_op"),
        (SEED.replace("  # a guess", "\n"), "no_op"),
        (SEED.replace("import math", "import os"), "outside_blocks"),
        (SEED + "\n", "outside_blocks"),
        (SEED.replace("[scale / n]", "[scale / n"), "syntax"),
        (SEED.replace("def pack", "def repack"), "no_entrypoint"),
        (SEED.replace("0.5", "0.6"), ""),
    ],
)
def test_refusals_of_python(source: str, reason: str) -> None:
    refused = refusal(Program({"solve.py": source}), PARENT, PROBLEM)
    assert (refused.reason if refused else "") == reason


@pytest.mark.parametrize(
    ("body", "reason"), [("int a = 2; // (", ""), ("int a = 1;", "no_op"), ("int  a = 1;", "")]
)
def test_other_languages_are_compared_as_text(body: str, reason: str) -> None:
    def program(text: str) -> Program:
        block = f"// EVOLVE-BLOCK-START\n{text}\n// EVOLVE-BLOCK-END\n"
        return Program({"a.cpp": "int main() {}\n", "a.hpp": block})

    problem = replace(PROBLEM, entrypoint="", command=Command(("./a",)))
    refused = refusal(program(body), program("int a = 1;"), problem)
    assert (refused.reason if refused else "") == reason


def test_equal_syntax_is_known_whatever_the_layout() -> None:
    same = Program({"solve.py": SEED.replace("n > 3", "(n  >  3)").replace("  # a guess", "")})
    assert same != PARENT
    assert same.syntax_id == PARENT.syntax_id
    assert Program({"solve.py": SEED.replace("3", "4")}).syntax_id != PARENT.syntax_id
    assert Program({"other.py": SEED}).syntax_id != PARENT.syntax_id


def test_simplify_removes_one_part_at_a_time() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        result = anyio.run(SimplifyProposer().propose, context(individual(1), seed=seed))
        assert isinstance(result, Candidate)
        assert refusal(result.program, PARENT, PROBLEM) is None
        seen[result.summary] += 1
    assert set(seen) == {
        "without: scale = 0.5",
        "without: if n > 3:",
        "without: scale = scale * -1.5",
        "without: return [scale / n] * n",
    }


def test_a_program_of_one_definition_cannot_be_simplified() -> None:
    source = "# EVOLVE-BLOCK-START\ndef pack(n):\n    pass\n# EVOLVE-BLOCK-END\n"
    result = anyio.run(SimplifyProposer().propose, context(individual(1, source)))
    assert isinstance(result, Rejected)
