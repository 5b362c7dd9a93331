"""A disturbed time is measured again, and the least disturbed one counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import anyio
import pytest

from evolve.core.evaluation import DISTURBED, Evaluation, Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.engine.assess import TIMED_AGAIN, Assessor
from evolve.engine.events import Event, FaultOccurred
from evolve.pool.local import LocalPool
from tests.fakes import FakeEvaluate, InProcessSandbox, numbered, scored

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(anyio_backend: str) -> AsyncIterator[LocalPool]:
    async with LocalPool(InProcessSandbox(), 1, Limits()) as opened:
        yield opened


def disturbed_by(*shares: float) -> Callable[[Program], Evaluation]:
    """Return a judge whose evaluations are disturbed so much, one after the other."""
    left = iter(shares)

    def judge(program: Program) -> Evaluation:
        share = next(left)
        if share < 0:
            return Evaluation(Outcome.WALL_TIMEOUT)
        evaluation = scored(program)
        assert evaluation.score is not None
        return replace(evaluation, score=replace(evaluation.score, metrics={DISTURBED: share}))

    return judge


@pytest.mark.parametrize(
    ("shares", "kept", "times"),
    [
        ([0.05], 0.05, 1),
        ([0.2, 0.01], 0.01, 2),
        ([0.2, 0.3, 0.1], 0.1, 3),
        ([0.2, 0.3, 0.4], 0.2, 3),
        ([0.2, -1, 0.1], 0.1, 3),
        ([0.2, -1, -1], 0.2, 3),
        ([-1], 0.0, 1),
    ],
)
async def test_a_disturbed_program_is_timed_again(
    pool: LocalPool, shares: list[float], kept: float, times: int
) -> None:
    events: list[Event] = []
    evaluate = FakeEvaluate(disturbed_by(*shares))
    evaluation = await Assessor(pool, evaluate, events.append, lambda _: None)(numbered(1))
    assert evaluation.disturbed == kept
    assert evaluate.calls.total() == times <= 1 + TIMED_AGAIN
    assert len(events) == times - 1
    if events:
        assert events[0] == FaultOccurred(
            "timing", "others had 20% of a timed program's CPU time; timed again"
        )


async def test_the_next_program_is_in_the_slot_before_an_evaluation_is_committed(
    pool: LocalPool,
) -> None:
    evaluate = FakeEvaluate(delay_s=0.01)
    assess = Assessor(pool, evaluate, lambda _: None, lambda _: None)
    begun: list[float] = []

    async def evaluate_and_commit(number: float) -> None:
        await assess(numbered(number))
        begun.append(evaluate.calls.total())  # from here a commit would block everybody

    async with anyio.create_task_group() as tasks:
        for number in (1.0, 2.0, 3.0):
            tasks.start_soon(evaluate_and_commit, number)
    assert begun == [2, 3, 3]
