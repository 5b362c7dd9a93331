"""From a program to its evaluation, with a real scorer process and programs played by functions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.core.errors import EvaluatorError, InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.core.measures import Measure
from evolve.core.values import Value
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.sandbox.base import Reply
from evolve.sandbox.wire import MAX_DEPTH
from tests.evaluate.problems import PROGRAM, TOTAL, USED, FunctionSlot, problem, returning

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def evaluate(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    async with open_evaluation(problem(tmp_path_factory.mktemp("problem"))) as service:
        yield service


@pytest.fixture(scope="module")
async def evaluate_one(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    """Evaluate by a single case without a name that every program may spoil; none held out."""
    body = """
    def cases(self, stage):
        if stage == "search":
            yield Case({"x": np.zeros(3)})
    def score(self, case, output, usage):
        assert case.name == ""
        large = isinstance(output, (list, np.ndarray)) and len(output) > 1000
        first = output[-1] if large else 0
        feedback = "" if large else repr(output)
        return Score(first, {"size": float(case.inputs["x"].sum())}, feedback=feedback)
    """
    async with open_evaluation(problem(tmp_path_factory.mktemp("one"), body)) as service:
        yield service


async def test_all_cases_run_in_one_session_and_their_scores_are_combined(
    evaluate: EvaluationService,
) -> None:
    slot = FunctionSlot()
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.outcome is Outcome.OK
    assert evaluation.score is not None
    assert evaluation.score.objective == 3.0  # the mean of 2, 3 and 4
    code_length = float(len(PROGRAM.files["seed.py"]))
    assert evaluation.score.measures == {"size": 3.0, "code_length": code_length}
    assert evaluation.score.metrics == {"wall_ns": USED.wall_ns}
    assert [result.case for result in evaluation.cases] == ["x=1", "x=2", "x=3"]
    assert [result.score.objective for result in evaluation.cases if result.score] == [2, 3, 4]
    assert {result.usage for result in evaluation.cases} == {USED}
    assert evaluation.usage == TOTAL
    assert (evaluation.stdout, evaluation.stderr) == ("printed", "complained")
    assert evaluation.evaluator == evaluate.version
    assert slot.calls == [("", {"x": 1}), ("", {"x": 2}), ("", {"x": 3})]
    assert len(slot.jobs) == 1
    assert slot.open == 0


async def test_stages_have_cases_of_their_own(
    evaluate: EvaluationService, evaluate_one: EvaluationService
) -> None:
    assert evaluate.stages == ("search", "held_out")
    evaluation = await evaluate(FunctionSlot(), PROGRAM, "held_out")
    assert evaluation.stage == "held_out"
    assert [result.case for result in evaluation.cases] == ["x=10"]
    assert evaluate_one.stages == ("search",)
    with pytest.raises(ValueError, match="no held_out cases"):
        await evaluate_one(FunctionSlot(), PROGRAM, "held_out")


async def test_the_first_failing_case_ends_the_evaluation(evaluate: EvaluationService) -> None:
    slot = FunctionSlot(lambda x: 10 // (2 - x))
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.outcome is Outcome.EXCEPTION
    assert evaluation.score is None
    assert evaluation.message.startswith("x=2: ZeroDivisionError")
    assert evaluation.feedback == evaluation.message
    assert [result.outcome for result in evaluation.cases] == [Outcome.OK, Outcome.EXCEPTION]
    assert len(slot.calls) == 2


@pytest.mark.parametrize("outcome", [Outcome.WALL_TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.EXIT])
async def test_outcomes_of_calls_are_outcomes_of_the_evaluation(
    evaluate: EvaluationService, outcome: Outcome
) -> None:
    slot = FunctionSlot(lambda x: Reply(outcome, message="why", usage=USED))
    evaluation = await evaluate(slot, PROGRAM)
    assert (evaluation.outcome, evaluation.message) == (outcome, "x=1: why")
    assert evaluation.usage == TOTAL


async def test_a_fault_of_the_slot_is_no_outcome(evaluate: EvaluationService) -> None:
    def program(x: int) -> int:
        raise InfrastructureError("the slot broke")

    slot = FunctionSlot(program)
    with pytest.raises(InfrastructureError, match="the slot broke"):
        await evaluate(slot, PROGRAM)
    assert slot.open == 0


async def test_a_refused_output_is_invalid_and_says_why(evaluate: EvaluationService) -> None:
    evaluation = await evaluate(FunctionSlot(lambda x: x if x < 2 else "refuse('!')"), PROGRAM)
    assert (evaluation.outcome, evaluation.message) == (Outcome.INVALID, "x=2: !")
    assert [result.outcome for result in evaluation.cases] == [Outcome.OK, Outcome.INVALID]
    told = "Score(1.0, artifacts={'combine': 'refuse(\"all in all\")'})"
    evaluation = await evaluate(returning(told), PROGRAM)
    assert (evaluation.outcome, evaluation.message) == (Outcome.INVALID, "all in all")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("1 / 0", "score: Traceback(?s:.*)ZeroDivisionError: division by zero"),
        ("2.0", "score: it gave a float"),
        ("Score(float('nan'))", "objective is nan"),
        ("Score(True)", "objective is a bool"),
        ("Score(1.0)", "lacks the measure 'size'"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("Score(1.0, artifacts={'combine': '{}[0]'})", "combine: Traceback(?s:.*)KeyError: 0"),
        ("Score(1.0, artifacts={'combine': '[]'})", "combine: it gave a list"),
    ],
)
async def test_an_evaluator_that_fails_on_an_output_is_an_outcome(
    evaluate: EvaluationService, told: str, message: str
) -> None:
    evaluation = await evaluate(returning(told), PROGRAM)
    assert evaluation.outcome is Outcome.EVALUATOR_ERROR
    assert evaluation.score is None
    with pytest.raises(RuntimeError, match=message):
        raise RuntimeError(evaluation.message)
    assert (await evaluate(FunctionSlot(), PROGRAM)).outcome is Outcome.OK


async def test_a_traceback_shows_the_evaluators_own_lines(evaluate: EvaluationService) -> None:
    evaluation = await evaluate(returning("refuse(*case)"), PROGRAM)
    frames = [line.strip() for line in evaluation.message.splitlines() if "File" in line]
    assert len(frames) == 2
    assert frames[0].endswith("in score")
    assert "evaluate.py" in frames[0]
    assert frames[1].startswith('File "<string>"')


async def test_secrets_of_cases_stay_in_the_scorer(evaluate: EvaluationService) -> None:
    slot = FunctionSlot()
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.outcome is Outcome.OK
    assert "ANSWER" not in repr((slot.jobs, slot.calls, evaluation))
    told = await evaluate(returning("Score(0, {'size': 0}, feedback=case.secret)"), PROGRAM)
    assert "ANSWER" in told.feedback  # the evaluator itself does have them


async def test_a_single_case_needs_no_name_in_messages(evaluate_one: EvaluationService) -> None:
    def program(x: Any) -> int:
        raise RuntimeError("no")

    evaluation = await evaluate_one(FunctionSlot(program), PROGRAM)
    assert evaluation.message == "RuntimeError: no"
    assert evaluation.cases[0].case == "case 1"


async def test_every_program_gets_its_own_copy_of_the_inputs(
    evaluate_one: EvaluationService,
) -> None:
    def program(x: Any) -> float:
        before = float(x.sum())
        x += 1.0
        return before

    for _ in range(3):
        evaluation = await evaluate_one(FunctionSlot(program), PROGRAM)
        assert evaluation.feedback == "0.0"
        assert evaluation.score is not None
        assert evaluation.score.measures["size"] == 0.0


def nested(depth: int) -> Value:
    value: Value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "output",
    [None, float("nan"), {"$": ["<f8", [1]]}, [1, "a", {}], np.arange(3.0), nested(MAX_DEPTH)],
    ids=["none", "nan", "dollar", "mixed", "array", "deep"],
)
async def test_outputs_arrive_as_they_were_returned(
    evaluate_one: EvaluationService, output: Value
) -> None:
    assert (await evaluate_one(returning(output), PROGRAM)).feedback == repr(output)


@pytest.mark.parametrize(
    "output", [[0.5] * 200_000, np.full(2_000_000, 0.5)], ids=["list", "array"]
)
async def test_large_outputs_are_judged(evaluate_one: EvaluationService, output: Value) -> None:
    evaluation = await evaluate_one(returning(output), PROGRAM)
    assert evaluation.score is not None
    assert evaluation.score.objective == 0.5


async def test_versions_follow_the_evaluator_and_the_measures(tmp_path: Path) -> None:
    one = problem(tmp_path)
    finer = replace(one, measures=tuple(replace(measure, cells=99) for measure in one.measures))
    fewer = replace(one, measures=(Measure("size", 0, 10, 5),))
    other = problem(tmp_path / "other", "kept = [1]")
    versions = []
    for each in (one, finer, fewer, other):
        async with open_evaluation(each) as service:
            versions.append(service.version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


async def test_warming_up_is_calls_of_a_first_case_that_never_counts(tmp_path: Path) -> None:
    body = """
    def cases(self, stage):
        for x in (7, 1, 2):
            yield Case({"x": x}, name=f"x={x}")
    def combine(self, scored):
        assert [case.name for case, _ in scored] == ["x=1", "x=2"]
        return super().combine(scored)
    """
    timed = problem(tmp_path, body, more="timed: true\nwarmup: 3\n")
    async with open_evaluation(timed) as service:
        slot = FunctionSlot()
        evaluation = await service(slot, PROGRAM)
        assert evaluation.score is not None, evaluation.message
        assert evaluation.score.objective == 2.5
        assert [inputs["x"] for _, inputs in slot.calls] == [7, 7, 7, 1, 2]
        assert len(slot.jobs) == 1, "one process is warmed up and timed"
        assert [result.case for result in evaluation.cases] == ["x=1", "x=2"]

        def cold(x: int) -> int:
            raise ArithmeticError("too cold")

        slot = FunctionSlot(cold)
        evaluation = await service(slot, PROGRAM)
        assert evaluation.outcome is Outcome.EXCEPTION
        assert evaluation.message == "x=7: ArithmeticError: too cold"
        assert len(slot.calls) == 1


async def test_warming_up_needs_a_case_to_spare(tmp_path: Path) -> None:
    timed = problem(tmp_path, more="timed: true\nwarmup: 1\n")
    with pytest.raises(EvaluatorError, match="the only case of stage 'held_out'"):
        async with open_evaluation(timed):
            pytest.fail("the only held-out case would not count")


async def test_how_much_a_program_was_disturbed_is_kept_with_its_score(
    evaluate: EvaluationService,
) -> None:
    slot = FunctionSlot(disturbed=0.25)
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.disturbed == 0.25
    assert evaluation.score is not None
    assert evaluation.score.metrics == {"wall_ns": 10.0, "cpu_disturbed": 0.25}
    assert (await evaluate(FunctionSlot(), PROGRAM)).disturbed == 0.0
