"""The loop around fakes: budgets, interruption, faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
import pytest

from evolve.config.models import ModelConfig, PriceConfig
from evolve.core.errors import EvaluatorError, InfrastructureError, ModelUnavailable, RunFailed
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.engine.assess import EVALUATOR_ERRORS, TOO_MANY
from evolve.engine.events import FaultOccurred, ProgramEvaluated, ProposalRejected, Stopping
from evolve.engine.loop import Loop
from evolve.engine.patience import ATTEMPTS
from evolve.llm import gate
from evolve.llm.base import Completion, Message, Request, Tokens
from evolve.propose.base import Candidate, Context, Rejected
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, FakeProposer, better, number_in, numbered, scored

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


MODEL = "test/model"


@pytest.mark.parametrize(("slots", "proposals"), [(1, None), (2, 1), (3, 40)])
async def test_the_budget_of_evaluations_is_spent_to_the_last_and_never_overshot(
    lab: Laboratory, slots: int, proposals: int | None
) -> None:
    lab.slots, lab.proposals = slots, proposals
    lab.evaluate.delay_s = lab.proposer.delay_s = 0.002
    assert await lab.search(evaluations=23) == "evaluations"
    assert lab.evaluations() == lab.counters.evaluations == 23
    assert lab.evaluate.calls.total() == 22, "the seed program was planted"
    assert lab.evaluate.most_at_once == slots
    assert lab.left_over() == (0, 0)
    iterations = {event.iteration for event in lab.of(ProgramEvaluated)}
    assert iterations == {None, *range(22)}, "nothing was proposed beyond the budget"


async def test_an_interrupted_loop_commits_what_is_in_flight_and_begins_nothing(
    lab: Laboratory,
) -> None:
    def interrupt_soon(loop: Loop) -> None:
        def make(context: Context, count: int) -> Candidate | Rejected:
            if count == 3:
                loop.interrupt("interrupted")
            return better(context, count)

        lab.proposer.make = make

    lab.on_start, lab.evaluate.delay_s = interrupt_soon, 0.05
    assert await lab.search(evaluations=1000) == "interrupted"
    assert lab.of(Stopping) == [Stopping("interrupted")]
    assert lab.evaluate.calls.total() == lab.proposer.asked == lab.evaluations() - 1
    assert lab.left_over() == (0, 0)


async def test_target_ends_the_search_at_once(lab: Laboratory) -> None:
    assert await lab.search(target=-5, evaluations=1000) == "target"
    assert lab.counters.best is not None
    assert -5 - lab.slots - 1 <= lab.counters.best <= -5


async def test_wall_time_ends_the_search_even_while_nothing_happens(lab: Laboratory) -> None:
    lab.evaluate.delay_s = 0.7
    started = time.monotonic()
    assert await lab.search(wall_s=0.2) == "wall_s"
    assert time.monotonic() - started < 1.5, "one under way and one that waits for a slot"
    assert lab.evaluate.calls.total() == lab.proposer.asked, "what was in flight was finished"


async def test_no_improvement_ends_the_search(lab: Laboratory) -> None:
    lab.proposer.make = lambda context, count: Candidate(numbered(count), (context.parent.id,))
    assert await lab.search(no_improvement=7) == "no_improvement"
    assert 8 <= lab.evaluations() <= 8 + lab.slots + 1


async def test_proposals_that_come_to_nothing_end_the_search(lab: Laboratory) -> None:
    lab.proposer.make = lambda context, _: Candidate(numbered(-1), (context.parent.id,))
    assert await lab.search(evaluations=1000, fruitless=20) == "fruitless"
    assert lab.evaluations() == 2
    assert {event.reason for event in lab.of(ProposalRejected)} <= {"duplicate", "no_op"}
    assert 20 <= lab.counters.failures.total() <= 20 + lab.slots + 1


async def test_proposals_that_come_to_nothing_are_counted_over_sessions(lab: Laboratory) -> None:
    def begin(loop: Loop) -> None:
        def make(context: Context, count: int) -> Candidate | Rejected:
            if count == 15:
                loop.interrupt("interrupted")
            return Rejected("syntax", "no") if count > 3 else better(context, count)

        lab.proposer.make = make

    lab.on_start = begin
    assert await lab.search(evaluations=1000, fruitless=20) == "interrupted"
    first = lab.counters.failures["syntax"]
    assert first == lab.counters.fruitless >= 11
    lab.on_start = lambda _: None
    assert await lab.resume(evaluations=1000, fruitless=20) == "fruitless"
    assert 20 <= lab.counters.failures["syntax"] <= 20 + lab.slots + 1


async def test_a_fault_is_retried_and_leaves_no_trace_in_the_scores(lab: Laboratory) -> None:
    def judge(program: Program) -> Evaluation:
        if lab.evaluate.calls[number_in(program)] < ATTEMPTS:
            raise InfrastructureError("the slot broke")
        return scored(program)

    lab.evaluate.judge = judge
    await lab.search(evaluations=4)
    assert set(lab.evaluate.calls.values()) == {ATTEMPTS}
    assert len(lab.of(FaultOccurred)) == 3 * (ATTEMPTS - 1)
    assert lab.store.totals(lab.run_id).evaluations == {Outcome.OK: 4}


async def test_a_program_of_many_faults_is_set_aside_and_tried_again_on_resume(
    lab: Laboratory,
) -> None:
    def judge(program: Program) -> Evaluation:
        if number_in(program) == -2:
            raise InfrastructureError("the slot broke")
        return scored(program)

    lab.evaluate.judge = judge
    await lab.search(evaluations=5)
    assert lab.evaluate.calls[-2] == ATTEMPTS
    assert lab.counters.failures == {Outcome.INFRASTRUCTURE: 1}
    evaluations = lab.store.totals(lab.run_id).evaluations
    assert evaluations == {Outcome.OK: 5, Outcome.INFRASTRUCTURE: 1}, "a fault costs no budget"
    assert lab.left_over() == (1, 0)

    lab.evaluate = FakeEvaluate()
    await lab.resume(evaluations=8)
    assert lab.evaluate.calls[-2] == 1
    assert lab.store.totals(lab.run_id).evaluations == {Outcome.OK: 8}
    assert lab.counters.evaluations == 8
    assert lab.left_over() == (0, 0)


async def test_many_programs_lost_in_a_row_stop_the_run(lab: Laboratory) -> None:
    def judge(program: Program) -> Evaluation:
        raise InfrastructureError("no space left on device")

    lab.evaluate.judge = judge
    with pytest.raises(RunFailed, match=rf"^{TOO_MANY} programs in a row.*no space left"):
        await lab.search(evaluations=1000)
    assert lab.evaluate.calls.total() <= (TOO_MANY + lab.slots) * ATTEMPTS


async def test_programs_lost_now_and_then_do_not(lab: Laboratory) -> None:
    def judge(program: Program) -> Evaluation:
        if number_in(program) % 2:
            raise InfrastructureError("the slot broke")
        return scored(program)

    lab.evaluate.judge = judge
    assert await lab.search(evaluations=3 * TOO_MANY) == "evaluations"
    assert lab.counters.failures[Outcome.INFRASTRUCTURE] > TOO_MANY


def evaluator_error(program: Program) -> Evaluation:
    message = "evaluator parabola: ZeroDivisionError"
    return Evaluation(Outcome.EVALUATOR_ERROR, message=message, evaluator=FakeEvaluate.version)


async def test_an_evaluator_that_fails_now_and_then_is_an_outcome(lab: Laboratory) -> None:
    def judge(program: Program) -> Evaluation:
        return evaluator_error(program) if number_in(program) % 3 else scored(program)

    lab.evaluate.judge = judge
    await lab.search(evaluations=31)
    assert lab.counters.failures == {Outcome.EVALUATOR_ERROR: 20}


async def test_an_evaluator_that_fails_every_time_stops_the_run(lab: Laboratory) -> None:
    lab.evaluate.judge = evaluator_error
    with pytest.raises(EvaluatorError, match=rf"{EVALUATOR_ERRORS} programs in a row.*ZeroDivis"):
        await lab.search(evaluations=1000)
    assert lab.evaluate.calls.total() <= EVALUATOR_ERRORS + lab.slots


class Asking(FakeProposer):
    """Asks its model before it proposes."""

    async def propose(self, context: Context) -> Candidate | Rejected:
        await context.complete(MODEL, Request((Message("user", "x"),)))
        return await super().propose(context)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a model that is out probed without delay."""
    monkeypatch.setattr(gate, "FIRST_PROBE_S", 0.01)
    monkeypatch.setattr(gate, "LAST_PROBE_S", 0.05)


@pytest.mark.usefixtures("_impatient")
async def test_a_model_that_stays_out_ends_the_run_and_loses_nothing(lab: Laboratory) -> None:
    model = PricedModel(broken=lambda call: call > 3)
    lab.proposer, lab.models = Asking(), {model.name: model}
    lab.model_configs = (ModelConfig(id=model.name, outage_s=0.2),)
    with pytest.raises(ModelUnavailable, match=r"calls in a row failed.*overloaded"):
        await lab.search(evaluations=1000)
    assert lab.evaluations() == 1 + 3
    assert model.calls < 20, "probes, not a storm"
    assert len(lab.told) == 1
    recovery = lab.store.recover(lab.run_id)
    assert not recovery.pending
    assert len(recovery.unanswered) >= 1, "what it could not be asked is asked on resume"


@pytest.mark.usefixtures("_impatient")
async def test_a_model_that_fails_most_of_the_time_does_not(lab: Laboratory) -> None:
    model = PricedModel(broken=lambda call: call % 10 != 0)
    lab.slots = 1
    lab.proposer, lab.models = Asking(), {model.name: model}
    lab.model_configs = (ModelConfig(id=model.name),)
    assert await lab.search(evaluations=4) == "evaluations"
    assert lab.store.totals(lab.run_id).rejected["model_error"] >= 3 * 9


@dataclass
class PricedModel:
    """Counts its calls; each costs a hundredth of a dollar by the configured prices."""

    broken: Callable[[int], bool] = lambda _: False
    calls: int = 0
    name: str = MODEL

    async def complete(self, request: Request) -> Completion:
        self.calls += 1
        if self.broken(self.calls):
            raise InfrastructureError("server overloaded")
        await anyio.sleep(0.002)
        return Completion("reply", tokens=Tokens(input=100, output=100))

    def parameters(self) -> Mapping[str, object]:
        return {}

    async def aclose(self) -> None:
        pass


async def test_money_ends_the_search_before_the_budget_is_passed(lab: Laboratory) -> None:
    model = PricedModel()

    price = PriceConfig(input=50, output=50)
    lab.proposer, lab.models = Asking(), {model.name: model}
    lab.model_configs = (ModelConfig(id=model.name, max_tokens=150, price=price),)
    lab.slots, lab.proposals = 2, 6
    assert await lab.search(cost_usd=0.095) == "cost_usd"
    totals = lab.store.totals(lab.run_id)
    assert totals.cost_usd == pytest.approx(model.calls * 0.01)
    assert lab.counters.cost_usd == pytest.approx(totals.cost_usd)
    assert 0.08 <= totals.cost_usd <= 0.095
    assert totals.evaluations == {Outcome.OK: model.calls + 1}, "what was paid for was used"
    assert totals.rejected["budget"] >= 1


async def test_a_stopping_run_waits_for_a_model_only_so_long(lab: Laboratory) -> None:
    lab.proposer.delay_s = 100
    assert await lab.search(wall_s=1.0, grace_s=0.1) == "wall_s"
    assert lab.store.totals(lab.run_id).rejected == {"interrupted": lab.proposer.asked}
    assert lab.left_over() == (0, 0)
