"""Scorer processes: what they see, how they fail, and how they are replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from evolve.core.errors import ConfigError, EvaluatorError, InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.evaluate.scorer import ScorerLimits
from evolve.evaluate.service import EvaluationService, open_evaluation
from tests.command import alive, gone_soon
from tests.evaluate.problems import PROGRAM, FunctionSlot, problem, returning

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
LIMITS = ScorerLimits(seconds=20.0, start_seconds=30.0, memory_mb=300)
WHO = "Score(os.getpid(), {'size': 0})"


@pytest.fixture(scope="module")
async def evaluate(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-secret")
        patch.setenv("MY_TOKEN", "sk-secret")
        made = problem(tmp_path_factory.mktemp("problem"))
        async with open_evaluation(made, limits=LIMITS) as service:
            yield service


@pytest.fixture(scope="module")
async def impatient(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    made = problem(tmp_path_factory.mktemp("impatient"))
    async with open_evaluation(made, limits=replace(LIMITS, seconds=1.0)) as service:
        yield service


async def pid(service: EvaluationService) -> int:
    evaluation = await service(returning(WHO), PROGRAM)
    assert evaluation.score is not None
    return int(evaluation.score.objective)


async def test_a_scorer_sees_no_keys(evaluate: EvaluationService) -> None:
    told = "Score(0, {'size': 0}, feedback=repr(sorted(os.environ.items())))"
    evaluation = await evaluate(returning(told), PROGRAM)
    assert evaluation.outcome is Outcome.OK
    assert "'PATH'" in evaluation.feedback
    assert "OPENAI_API_KEY" not in evaluation.feedback
    assert "secret" not in evaluation.feedback


async def test_a_scorer_does_not_see_the_program(evaluate: EvaluationService) -> None:
    told = "Score(len(sys.modules.get('seed', ())), {'size': 0})"
    assert (await evaluate(returning(told), PROGRAM)).outcome is Outcome.OK


@pytest.mark.parametrize(
    "told",
    [
        "print('x' * 1_000_000)",
        "sys.stderr.write('y' * 1_000_000)",
        "os.write(1, b'\\x05' + bytes(8) + b'forged')",
        "print(sys.stdin.read())",
    ],
)
async def test_printing_and_reading_do_not_reach_the_protocol(
    evaluate: EvaluationService, told: str
) -> None:
    evaluation = await evaluate(returning(f"({told}, Score(1, {{'size': 0}}))[1]"), PROGRAM)
    assert evaluation.outcome is Outcome.OK
    assert evaluation.stdout == "printed"


@pytest.mark.parametrize(
    "told",
    [
        "time.sleep(60)",
        "Score(0, artifacts={'combine': 'time.sleep(60)'})",
    ],
)
async def test_an_evaluator_that_hangs_is_stopped_and_replaced(
    impatient: EvaluationService, told: str
) -> None:
    before = await pid(impatient)
    with anyio.fail_after(20):
        evaluation = await impatient(returning(told), PROGRAM)
    assert evaluation.outcome is Outcome.EVALUATOR_ERROR
    assert "gave no answer within 1 s" in evaluation.message
    assert not alive(before)
    assert await pid(impatient) != before


async def test_an_evaluator_that_takes_too_much_memory_is_stopped(tmp_path: Path) -> None:
    async with open_evaluation(problem(tmp_path), limits=LIMITS) as service:
        evaluation = await service(returning("(np.ones(60_000_000), time.sleep(60))"), PROGRAM)
        assert evaluation.outcome is Outcome.EVALUATOR_ERROR
        assert "more than 300 MiB" in evaluation.message
        assert (await service(FunctionSlot(), PROGRAM)).outcome is Outcome.OK


async def test_a_scorer_that_has_grown_is_replaced_between_evaluations(
    evaluate: EvaluationService,
) -> None:
    before = await pid(evaluate)
    grow = f"(self.kept.append(np.ones(8_000_000)), {WHO})[1]"  # 61 MiB
    assert (await evaluate(returning(grow), PROGRAM)).outcome is Outcome.OK
    assert await pid(evaluate) != before
    assert not alive(before)


async def test_a_scorer_that_dies_is_a_fault_with_its_last_words(
    evaluate: EvaluationService,
) -> None:
    slot = returning("(print('about to die', flush=True), os._exit(7))")
    with pytest.raises(InfrastructureError, match=r"lost during score (?s:.*)about to die"):
        await evaluate(slot, PROGRAM)
    assert slot.open == 0
    assert (await evaluate(FunctionSlot(), PROGRAM)).outcome is Outcome.OK


async def test_a_scorer_killed_between_evaluations_is_a_fault_too(
    evaluate: EvaluationService,
) -> None:
    os.kill(await pid(evaluate), signal.SIGKILL)
    with pytest.raises(InfrastructureError, match="lost during score"):
        await evaluate(FunctionSlot(), PROGRAM)
    assert (await evaluate(FunctionSlot(), PROGRAM)).outcome is Outcome.OK


async def test_an_abandoned_evaluation_leaves_a_working_scorer(
    evaluate: EvaluationService,
) -> None:
    before, slot = await pid(evaluate), returning("time.sleep(60)")
    with anyio.move_on_after(0.3) as scope:
        await evaluate(slot, PROGRAM)
    assert scope.cancelled_caught
    assert slot.open == 0
    assert not alive(before)
    assert (await evaluate(FunctionSlot(), PROGRAM)).outcome is Outcome.OK


async def test_what_an_evaluator_started_ends_with_it(impatient: EvaluationService) -> None:
    told = "Score(__import__('subprocess').Popen(['sleep', '60']).pid, {'size': 0})"
    evaluation = await impatient(returning(told), PROGRAM)
    assert evaluation.score is not None
    children = [int(result.score.objective) for result in evaluation.cases if result.score]
    assert all(map(alive, children))
    await impatient(returning("time.sleep(60)"), PROGRAM)
    assert all(map(gone_soon, children))


async def test_evaluations_share_scorers_and_none_outlives_the_service(tmp_path: Path) -> None:
    pids: set[int] = set()

    async def run() -> None:
        slow = returning(f"(time.sleep(0.05), {WHO})[1]")
        evaluation = await service(slow, PROGRAM)
        pids.update(int(each.score.objective) for each in evaluation.cases if each.score)

    async with open_evaluation(problem(tmp_path), scorers=2) as service:
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(run)
        assert len(pids) == 2
    assert not any(map(alive, pids))


async def test_cases_that_differ_between_processes_are_noticed(tmp_path: Path) -> None:
    body = "def cases(self, stage): yield Case({'x': os.getpid()})"
    async with open_evaluation(problem(tmp_path, body)) as service:
        with pytest.raises(InfrastructureError):
            await service(returning("os._exit(1)"), PROGRAM)
        evaluation = await service(returning("Score(0)"), PROGRAM)
    assert evaluation.outcome is Outcome.EVALUATOR_ERROR
    assert "fixed seed" in evaluation.message


async def test_sets_have_the_same_order_in_every_process(tmp_path: Path) -> None:
    body = "def cases(self, stage): yield Case({'x': ' '.join(set('abcdefghijkl'))})"
    async with open_evaluation(problem(tmp_path, body)) as service:
        with pytest.raises(InfrastructureError):
            await service(returning("os._exit(1)"), PROGRAM)
        assert (await service(returning(1.0), PROGRAM)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def cases(self, stage): return []", "no case for stage 'search'"),
        ("def cases(self, stage): yield {'x': 1}", r"must yield evolve\.Case"),
        (
            "def cases(self, stage): yield Case({'x': object()})",
            "inputs of case 1: a object is not plain data",
        ),
        ("def cases(self, stage): return [Case({}, name='a')] * 2", "2 cases the name 'a'"),
        ("def cases(self, stage): raise Invalid('x')", "cases raised Invalid"),
        (
            "def __init__(self): 1 / 0",
            r"load: Traceback(?s:.*)evaluate\.py(?s:.*)ZeroDivisionError",
        ),
    ],
)
async def test_an_evaluator_that_cannot_start_raises(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(EvaluatorError, match=message):
        async with open_evaluation(problem(tmp_path, body), limits=LIMITS):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("body", ["def __init__(self)", "def cases(self, stage)"])
async def test_an_evaluator_that_never_starts_raises(tmp_path: Path, body: str) -> None:
    hanging = problem(tmp_path, f"{body}: time.sleep(60)")
    with pytest.raises(EvaluatorError, match=r"no answer within 1\.5 s"):
        async with open_evaluation(hanging, limits=ScorerLimits(start_seconds=1.5)):
            pass


async def test_wrong_options_and_classes_are_errors_of_the_configuration(tmp_path: Path) -> None:
    body = "def __init__(self, size=1): pass"
    mistyped = problem(tmp_path / "a", body, options="{sise: 3}")
    with pytest.raises(ConfigError, match=r"no option 'sise'.*size"):
        async with open_evaluation(mistyped):
            pass
    other = problem(tmp_path / "b")
    (tmp_path / "b/evaluate.py").write_text("class Mine:\n    pass\n")
    with pytest.raises(ConfigError, match=r"makes a Mine, no evolve\.Evaluator"):
        async with open_evaluation(other):
            pass


def test_a_busy_scorer_dies_with_its_controller(tmp_path: Path) -> None:
    problem(tmp_path, "def cases(self, stage): yield Case({'x': os.getpid()})")
    script = f"""
        import anyio
        from evolve.config.problem import load_problem
        from evolve.evaluate.service import open_evaluation
        from tests.evaluate.problems import PROGRAM, FunctionSlot

        def program(x):
            print(x, flush=True)
            return "sum(1 for _ in iter(int, 1))"

        async def main():
            async with open_evaluation(load_problem({str(tmp_path)!r})) as service:
                await service(FunctionSlot(program), PROGRAM)

        anyio.run(main)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as controller:
        assert controller.stdout is not None
        scorer = int(controller.stdout.readline())
        time.sleep(0.1)
        assert alive(scorer)
        controller.kill()
    assert gone_soon(scorer)
