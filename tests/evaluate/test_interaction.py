"""Evaluators that drive a program themselves, and the choice between them and a harness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evolve.config.problem import Problem, load_problem
from evolve.core.errors import ConfigError, InfrastructureError
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.evaluate.scorer import ScorerLimits
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.evaluate.ways import Interaction, choose_way
from evolve.sandbox.base import Slot
from evolve.sandbox.process import ProcessSandbox
from tests.evaluate.problems import PROGRAM, USED, FunctionSlot, problem, returning

pytestmark = pytest.mark.anyio

HARNESS = "def run(function, x):\n    return 10 * function(x)\n"
# The first call's answer may tell the evaluator what to do; otherwise it makes two more.
INTERACT = """
async def interact(self, case, call):
    first = await call(x=case.inputs["x"])
    if isinstance(first, str):
        return await getattr(self, first)(call)
    return first + await call(x=10) + await call(function="g", x=np.arange(20.0))

async def refuses(self, call): raise Invalid("bad move")
async def names_itself(self, call): raise Invalid(f"I am {os.getpid()}")
async def fails(self, call): 1 / 0
async def hangs(self, call): time.sleep(60)
async def calls_badly(self, call): await call(x=object())

async def swallows(self, call):
    total = 0.0
    for i in range(10, 15):
        try:
            total += await call(x=i)
        except BaseException:
            total += 1e9
    return total

async def breaks(self, call):
    try:
        return await call(x=12)
    finally:
        refuse("never mind")

async def concurs(self, call):
    import anyio
    total = []
    async def one(x):
        total.append(await call(x=x))
    async with anyio.create_task_group() as tasks:
        for x in range(20, 40):
            tasks.start_soon(one, x)
    return sum(total)
"""


@pytest.fixture(scope="module")
async def evaluate(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    made = problem(tmp_path_factory.mktemp("problem"), INTERACT)
    async with open_evaluation(made, limits=ScorerLimits(seconds=30.0)) as service:
        yield service


def told(what: str) -> FunctionSlot:
    """Return a program that has the evaluator do ``what``, and fails when called with 12."""
    return FunctionSlot(lambda x: what if x in {1, 2, 3} else 24.0 / (12 - x))


async def test_an_interacting_evaluator_calls_the_program(evaluate: EvaluationService) -> None:
    slot = FunctionSlot(lambda x: x if isinstance(x, int) else float(x.sum()))
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.score is not None
    assert [each.score.objective for each in evaluation.cases if each.score] == [201, 202, 203]
    assert [(name, type(inputs["x"]).__name__) for name, inputs in slot.calls[:3]] == [
        ("", "int"),
        ("", "int"),
        ("g", "ndarray"),
    ]
    assert evaluation.cases[0].usage == USED + USED + USED
    assert evaluation.score.metrics["wall_ns"] == 3 * USED.wall_ns
    assert len(slot.jobs) == 1


async def test_calls_made_at_once_are_served_one_after_the_other(
    evaluate: EvaluationService,
) -> None:
    evaluation = await evaluate(told("concurs"), PROGRAM)
    assert evaluation.score is not None
    assert evaluation.score.objective == pytest.approx(sum(24.0 / (12 - x) for x in range(20, 40)))


async def test_a_program_that_fails_in_mid_interaction_cannot_be_rescued(
    evaluate: EvaluationService,
) -> None:
    slot = told("swallows")
    evaluation = await evaluate(slot, PROGRAM)
    assert evaluation.outcome is Outcome.EXCEPTION
    assert evaluation.message == "x=1: ZeroDivisionError: float division by zero"
    assert evaluation.score is None
    assert len(slot.calls) == 4  # 1, 10, 11, 12
    assert evaluation.cases[0].usage == USED + USED + USED + USED
    assert (await evaluate(returning(1.0), PROGRAM)).outcome is Outcome.OK


async def test_a_program_that_fails_does_not_cost_a_scorer(evaluate: EvaluationService) -> None:
    async def process() -> str:
        return (await evaluate(told("names_itself"), PROGRAM)).message

    before = await process()
    assert (await evaluate(told("swallows"), PROGRAM)).outcome is Outcome.EXCEPTION
    assert await process() == before


async def test_what_an_evaluator_does_after_the_program_failed_counts_for_nothing(
    evaluate: EvaluationService,
) -> None:
    evaluation = await evaluate(told("breaks"), PROGRAM)
    assert evaluation.outcome is Outcome.EXCEPTION
    assert "float division" in evaluation.message


@pytest.mark.parametrize(
    ("what", "outcome", "message"),
    [
        ("refuses", Outcome.INVALID, "x=1: bad move"),
        ("fails", Outcome.EVALUATOR_ERROR, "ZeroDivisionError: division by zero"),
        (
            "calls_badly",
            Outcome.EVALUATOR_ERROR,
            "in the inputs of a call: a object is not plain data",
        ),
    ],
)
async def test_what_an_interaction_raises_is_told_apart(
    evaluate: EvaluationService, what: str, outcome: Outcome, message: str
) -> None:
    evaluation = await evaluate(told(what), PROGRAM)
    assert evaluation.outcome is outcome
    assert message in evaluation.message
    assert "anyio" not in evaluation.message


async def test_an_interaction_that_hangs_is_stopped(tmp_path: Path) -> None:
    limits = ScorerLimits(seconds=1.0)
    async with open_evaluation(problem(tmp_path, INTERACT), limits=limits) as impatient:
        evaluation = await impatient(told("hangs"), PROGRAM)
    assert evaluation.outcome is Outcome.EVALUATOR_ERROR
    assert "no answer within 1 s" in evaluation.message


async def test_a_fault_of_the_slot_in_mid_interaction_is_a_fault(
    evaluate: EvaluationService,
) -> None:
    def program(x: Any) -> float:
        if isinstance(x, int) and x == 10:
            raise InfrastructureError("the slot broke")
        return 1.0

    with pytest.raises(InfrastructureError, match="the slot broke"):
        await evaluate(FunctionSlot(program), PROGRAM)
    assert (await evaluate(returning(1.0), PROGRAM)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("interacts", "has_harness", "interaction", "trusted", "way"),
    [
        (False, False, "auto", False, "calls"),
        (False, True, "auto", False, "harness"),
        (False, True, "harness", False, "harness"),
        (True, False, "auto", True, "interaction"),
        (True, False, "boundary", True, "interaction"),
        (True, True, "auto", False, "interaction"),
        (True, True, "auto", True, "harness"),
        (True, True, "harness", False, "harness"),
        (True, True, "boundary", True, "interaction"),
        (True, False, "harness", False, "has no harness.py"),
        (False, True, "boundary", False, "has no interact()"),
        (False, False, "boundary", False, "has no interact()"),
    ],
)
def test_the_way_that_cases_take(
    tmp_path: Path,
    interacts: bool,
    has_harness: bool,
    interaction: Interaction,
    trusted: bool,
    way: str,
) -> None:
    made = problem(tmp_path, harness=HARNESS if has_harness else "")
    expected = {
        "calls": (False, ""),
        "interaction": (True, ""),
        "harness": (False, HARNESS),
    }
    try:
        assert choose_way(made, interaction, interacts=interacts, trusted=trusted) == expected[way]
    except ConfigError as error:
        assert way in str(error)  # noqa: PT017 - half of the table are errors


# In a real sandbox.


@pytest.fixture(scope="module")
async def slot(anyio_backend: str) -> AsyncIterator[Slot]:
    opened = await ProcessSandbox().open_slot(0, Limits(wall_s=20.0, memory_mb=512))
    try:
        yield opened
    finally:
        await opened.aclose()


async def test_harness_and_boundary_in_a_real_slot(slot: Slot, tmp_path: Path) -> None:
    program = Program(
        {"seed.py": "def f(x):\n    return 2.0 * x\n\ndef g(x):\n    return x.sum()\n"}
    )
    made = problem(tmp_path, INTERACT, harness=HARNESS)
    values = {}
    for trusted in (False, True):
        async with open_evaluation(made, trusted_programs=trusted) as service:
            evaluation = await service(slot, program)
            assert evaluation.score is not None, evaluation.message
            values[trusted] = evaluation.score.objective
            assert evaluation.usage.wall_ns > 0
    assert values == {False: 4.0 + 20.0 + 190.0, True: 40.0}


BUNDLED = {
    "circle_packing_26": 2.5414213562373087,
    "autocorrelation_1": 1.5850032470065,
}


@pytest.mark.parametrize("name", BUNDLED)
async def test_bundled_seed_programs_score_in_a_real_slot(slot: Slot, name: str) -> None:
    bundled: Problem = load_problem(name)
    async with open_evaluation(bundled) as service:
        assert service.stages == ("search",)
        evaluation = await service(slot, bundled.seed_program)
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == pytest.approx(BUNDLED[name], abs=1e-12)
    for measure in bundled.measures:
        assert not measure.locate(evaluation.score.measures[measure.name]).clipped


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return [[0.5, 0.5, float('nan')]] * n", Outcome.INVALID),
        ("return {'score': 99.0}", Outcome.INVALID),
        ("return object()", Outcome.BAD_OUTPUT),
        ("return [[0.1j, 0, 0]] * n", Outcome.BAD_OUTPUT),
        ("import os; os._exit(0)", Outcome.EXIT),
        ("raise SystemExit('2.64')", Outcome.EXIT),
        ("return 1 / 0", Outcome.EXCEPTION),
        ("import evolve.evaluate", Outcome.EXCEPTION),
    ],
)
async def test_rubbish_from_a_real_program_is_no_score(
    slot: Slot, packing: EvaluationService, body: str, outcome: Outcome
) -> None:
    evaluation = await packing(slot, Program({"seed.py": f"def pack(n):\n    {body}\n"}))
    assert evaluation.outcome is outcome, evaluation.message
    assert evaluation.score is None
    assert evaluation.message


@pytest.fixture(scope="module")
async def packing(anyio_backend: str) -> AsyncIterator[EvaluationService]:
    async with open_evaluation(load_problem("circle_packing_26")) as service:
        yield service


FORGES_A_VALUE = """
import os
calls = 0
def f(x):
    global calls
    calls += 1
    if calls < 3:
        return "swallows" if calls == 1 else 1.0
    body = b"\\0\\0\\0\\x04{{{{"
    os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
    os.read(os.pipe()[0], 1)
"""


async def test_a_malformed_value_in_mid_interaction_cannot_be_rescued(
    slot: Slot, evaluate: EvaluationService
) -> None:
    evaluation = await evaluate(slot, Program({"seed.py": FORGES_A_VALUE}))
    assert evaluation.outcome is Outcome.BAD_OUTPUT
    assert "not a well-formed value" in evaluation.message
    assert evaluation.score is None
    assert (await evaluate(returning(1.0), PROGRAM)).outcome is Outcome.OK


async def test_a_program_sees_no_input_before_its_call(slot: Slot, tmp_path: Path) -> None:
    body = """
    async def interact(self, case, call):
        return [await call(x=f"input-{case.inputs['x']}{i}") for i in range(5)]

    def score(self, case, output, usage):
        return Score(sum(map(len, output)), {"size": 0})
    """
    source = """
import gc, os, re
def f(x):
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        text = b""
        for line in maps:
            if "[heap]" in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(start)
                text = memory.read(end - start)
    os.set_blocking(3, False)
    try:
        text += os.read(3, 1 << 16)
    except BlockingIOError:
        pass
    os.set_blocking(3, True)
    seen = set(re.findall(rb"input-([0-9]{2})", text))
    return sorted(number.decode() for number in seen if int(number) > int(x[6:]))
"""
    async with open_evaluation(problem(tmp_path, body)) as service:
        evaluation = await service(slot, Program({"seed.py": source}))
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == 0
