"""Thresholds on the first cases, with a real scorer process and programs played by functions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError, EvaluatorError
from evolve.core.evaluation import Outcome
from evolve.evaluate.service import open_evaluation
from tests.evaluate.problems import PROGRAM, TOTAL, FunctionSlot, problem, returning

pytestmark = pytest.mark.anyio

FIRST_AND_SECOND = "cascade: [{cases: 1, no_worse_than: 1}, {cases: 2, no_worse_than: 5}]\n"
FEEDBACK = """
def score(self, case, output, usage):
    return Score(output, {"size": 1.0}, feedback=f"{output} of 10")
"""
MAXIMUM = """
def combine(self, scored):
    return Score(max(score.objective for _, score in scored), {"size": 1.0})
"""


@pytest.mark.parametrize(
    ("outputs", "ran", "message"),
    [
        ({1: 0.5}, 1, "value 0.5 after 1 of 3 cases, must be at least 1\nx=1: 0.5 of 10"),
        ({1: 1, 2: 8}, 2, "value 4.5 after 2 of 3 cases, must be at least 5\n"
                          "x=1: 1 of 10\nx=2: 8 of 10"),
        ({1: 1, 2: 9, 3: 0}, 3, ""),
    ],
)  # fmt: skip
async def test_an_evaluation_ends_at_the_first_threshold_it_does_not_meet(
    tmp_path: Path, outputs: dict[int, float], ran: int, message: str
) -> None:
    described = problem(tmp_path, FEEDBACK, more=FIRST_AND_SECOND)
    slot = FunctionSlot(lambda x: outputs[x])
    async with open_evaluation(described) as evaluate:
        found = await evaluate(slot, PROGRAM)
        standings = await evaluate.standings(await evaluate.in_full()(returning(9), PROGRAM))
    assert len(slot.calls) == len(found.cases) == ran
    assert all(case.score is not None for case in found.cases)
    assert found.usage == TOTAL
    assert found.message == message
    if message:
        assert found.outcome is Outcome.BELOW_THRESHOLD
        assert found.score is None
        assert found.feedback == message
        assert not found.signature
    else:
        assert found.score is not None
        assert found.score.objective == pytest.approx(10 / 3)
    assert [met for met, _ in standings] == [True, True]


async def test_what_is_compared_is_the_evaluators_own_combination(tmp_path: Path) -> None:
    described = problem(tmp_path, MAXIMUM, more="cascade: [{cases: 2, no_worse_than: 8}]\n")
    async with open_evaluation(described) as evaluate:
        one = await evaluate(FunctionSlot(lambda x: {1: 0, 2: 8, 3: 0}[x]), PROGRAM)
        other = await evaluate(FunctionSlot(lambda x: {1: 0, 2: 7, 3: 9}[x]), PROGRAM)
    assert one.score is not None
    assert one.score.objective == 8
    assert other.outcome is Outcome.BELOW_THRESHOLD


async def test_a_combination_that_fails_on_few_cases_is_told_apart(tmp_path: Path) -> None:
    body = "def combine(self, scored):\n    return Score(scored[2][1].objective, {'size': 1.0})"
    described = problem(tmp_path, body, more="cascade: [{cases: 2, no_worse_than: 0}]\n")
    async with open_evaluation(described) as evaluate:
        found = await evaluate(FunctionSlot(), PROGRAM)
        whole = await evaluate.in_full()(FunctionSlot(), PROGRAM)
        ((met, told),) = await evaluate.standings(whole)
    assert found.outcome is Outcome.EVALUATOR_ERROR
    assert "IndexError" in found.message
    assert whole.score is not None
    assert not met
    assert "over the first 2 cases" in told


async def test_smaller_is_better_where_the_objective_is_minimised(tmp_path: Path) -> None:
    described = problem(tmp_path, more="cascade: [{cases: 1, no_worse_than: 3}]\n")
    file = tmp_path / "problem.yaml"
    file.write_text(file.read_text().replace("maximize", "minimize"))
    low, high = FunctionSlot(lambda x: x), FunctionSlot(lambda x: x + 3)
    async with open_evaluation(described) as evaluate:
        assert (await evaluate(low, PROGRAM)).outcome is Outcome.BELOW_THRESHOLD
        assert (await evaluate(high, PROGRAM)).outcome is Outcome.OK
    async with open_evaluation(load_problem(str(tmp_path))) as evaluate:
        assert (await evaluate(low, PROGRAM)).outcome is Outcome.OK
        found = await evaluate(high, PROGRAM)
    assert found.message == "value 4 after 1 of 3 cases, must be at most 3"


async def test_held_out_cases_have_no_thresholds(tmp_path: Path) -> None:
    described = problem(tmp_path, more="cascade: [{cases: 1, no_worse_than: 5}]\n")
    async with open_evaluation(described) as evaluate:
        assert (await evaluate(FunctionSlot(lambda x: 0 * x), PROGRAM, "held_out")).score


async def test_a_program_that_fails_before_is_no_program_below(tmp_path: Path) -> None:
    described = problem(tmp_path, more="cascade: [{cases: 2, no_worse_than: 5}]\n")
    async with open_evaluation(described) as evaluate:
        found = await evaluate(FunctionSlot(lambda x: 1 / (x - 2)), PROGRAM)
    assert found.outcome is Outcome.EXCEPTION


async def test_some_case_must_be_left(tmp_path: Path) -> None:
    described = problem(tmp_path, more="cascade: [{cases: 3, no_worse_than: 5}]\n")
    with pytest.raises(EvaluatorError, match="leaves none of the 3 search cases"):
        async with open_evaluation(described):
            pass


async def test_a_threshold_makes_another_problem(tmp_path: Path) -> None:
    hashes = {
        problem(tmp_path, more=more).hash
        for more in ("", FIRST_AND_SECOND, "cascade: [{cases: 1, no_worse_than: 1}]\n")
    }
    assert len(hashes) == 3
    assert problem(tmp_path).hash == problem(tmp_path, more="cascade: []\n").hash


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("timed: true\ncascade: [{cases: 1, no_worse_than: 0}]\n", "slow moment"),
        ("noise: {}\ncascade: [{cases: 1, no_worse_than: 0}]\n", "bad luck"),
        ("cascade: [{cases: 1, no_worse_than: 0}, {cases: 1, no_worse_than: 2}]\n", "ascending"),
        ("cascade: [{cases: 0, no_worse_than: 0}]\n", "greater than or equal to 1"),
        ("cascade: [{cases: 1, no_worse_than: .inf}]\n", "finite"),
    ],
)
async def test_what_cannot_be_is_refused_where_it_is_written(
    tmp_path: Path, more: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        problem(tmp_path, more=more)
    assert re.search(r"problem\.yaml:\d+:\d+: ", str(refused.value))
