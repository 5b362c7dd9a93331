"""What becomes of a program whose slots fail, or are lost with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from evolve.core.errors import InfrastructureError, RunFailed, SlotLost
from evolve.core.evaluation import Evaluation, Outcome, Stage, Start
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.engine.assess import TOO_MANY, Assessor
from evolve.engine.events import Event, FaultOccurred
from evolve.engine.patience import ATTEMPTS, LOSSES, Patience
from evolve.evaluate.probes import Alike, nobody
from evolve.sandbox.base import Slot
from tests.fakes import FakeEvaluate, InProcessSandbox, number_in, numbered, scored


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


BROKEN, LOST = InfrastructureError("broken"), SlotLost("gone")


def after(*errors: InfrastructureError) -> Patience:
    patience = Patience()
    for error in errors:
        assert not patience.over
        patience.blame(error)
    return patience


def test_faults_of_slots_are_nobody_s_doing() -> None:
    assert not after(*[BROKEN] * (ATTEMPTS - 1)).over
    patience = after(*[BROKEN] * ATTEMPTS)
    assert patience.over
    assert not patience.suspect
    assert patience.ending("v").outcome is Outcome.INFRASTRUCTURE


def test_a_program_that_slots_are_lost_with_is_suspect_and_then_to_blame() -> None:
    before = after(*[LOST] * (LOSSES - 1))
    assert not before.suspect
    assert before.told == "gone"
    suspected = after(*[LOST] * LOSSES)
    assert suspected.suspect
    assert not suspected.over
    assert "it is suspect" in suspected.told
    given_up = after(*[LOST] * (LOSSES + 1))
    assert given_up.over
    assert given_up.told == "gone"
    ending = given_up.ending("v")
    assert ending.outcome is Outcome.RUNNER_LOST
    assert ending.message == "4 slots were lost with it; the last time: gone"


def test_faults_and_losses_are_counted_apart() -> None:
    assert not after(LOST, BROKEN, LOST, BROKEN).over
    patience = after(LOST, BROKEN, LOST, BROKEN, BROKEN)
    assert patience.over
    assert patience.ending("v").outcome is Outcome.INFRASTRUCTURE


class FakePool:
    """As many slots as anybody wants; counts those lent together."""

    size = busy = 4
    busy_s = there_s = (0.0,) * 4

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Slot]:
        yield await InProcessSandbox().open_slot(0, Limits())

    async def aclose(self) -> None:
        pass


@pytest.mark.anyio
async def test_suspects_run_one_at_a_time_and_others_meanwhile() -> None:
    """Programs below 0 take their slots down; those above do not."""
    events: list[Event] = []
    suspects = {-1.0, -2.0, -3.0}
    running: list[float] = []
    together: list[set[float]] = []

    def judge(program: Program) -> Evaluation:
        number = number_in(program)
        running.remove(number)
        if number in suspects:
            raise SlotLost(f"{number:g} did it")
        return scored(program)

    class Evaluate(FakeEvaluate):
        async def __call__(
            self,
            slot: Slot,
            program: Program,
            stage: Stage = "search",
            alike: Alike = nobody,
            seed: int | None = None,
            start: Start | None = None,
        ) -> Evaluation:
            running.append(number_in(program))
            if self.calls[number_in(program)] == LOSSES:
                together.append(suspects & set(running))
            return await super().__call__(slot, program, stage, alike, seed)

    assess = Assessor(FakePool(), Evaluate(judge, delay_s=0.01), events.append, lambda _: None)
    found: dict[float, Evaluation] = {}

    async def work(number: float) -> None:
        found[number] = await assess(numbered(number))

    async with anyio.create_task_group() as tasks:
        for number in (*suspects, 1.0, 2.0):
            tasks.start_soon(work, number)
    assert {number: each.outcome for number, each in found.items()} == {
        **dict.fromkeys(suspects, Outcome.RUNNER_LOST),
        1.0: Outcome.OK,
        2.0: Outcome.OK,
    }
    assert len(together) == 3
    assert all(len(each) == 1 for each in together), "suspects ran together"
    told = [each.message for each in events if isinstance(each, FaultOccurred)]
    assert len(told) == 3 * (LOSSES + 1)
    assert sum("it is suspect" in message for message in told) == 3


@pytest.mark.anyio
async def test_of_programs_in_one_slot_the_one_under_way_is_to_blame() -> None:
    def judge(program: Program) -> Evaluation:
        if number_in(program) < 0:
            raise LOST
        return scored(program)

    assess = Assessor(FakePool(), FakeEvaluate(judge), lambda _: None, lambda _: None)
    found = await assess.together([numbered(1), numbered(-1), numbered(2)], "search", seed=1)
    outcomes = [each.outcome for each in found]
    assert outcomes == [Outcome.INFRASTRUCTURE, Outcome.RUNNER_LOST, Outcome.INFRASTRUCTURE]


@pytest.mark.anyio
async def test_a_run_stops_when_every_program_loses_its_slots() -> None:
    def judge(program: Program) -> Evaluation:
        raise LOST

    assess = Assessor(FakePool(), FakeEvaluate(judge), lambda _: None, lambda _: None)
    for number in range(TOO_MANY - 1):
        assert (await assess(numbered(number))).outcome is Outcome.RUNNER_LOST
    with pytest.raises(RunFailed, match="Nothing is lost"):
        await assess(numbered(TOO_MANY))
