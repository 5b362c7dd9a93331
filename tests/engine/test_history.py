"""What earlier proposals mean for later ones, told live and rebuilt from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
import pytest

from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.engine.history import ATTEMPTS, FAILURES, PARENTS, History
from evolve.engine.loop import Loop
from evolve.llm.base import Completion, Message, Request, Tokens
from evolve.propose.base import Candidate, Context, Rejected, Varies
from evolve.store.records import Ended
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, FakeProposer, better, number_in, numbered, scored


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


@dataclass
class Kind(FakeProposer):
    varies: Varies = "elite"


def ended(program: int | None, parent: int, how: str = "ok", operator: str = "diff") -> Ended:
    return Ended(
        iteration=0,
        operator=operator,
        model="",
        island=0,
        parents=(parent,),
        program_id=program,
        summary="a try",
        ended=how,
        objective=1.0 if how == "ok" else None,
        message="",
        cost_usd=0.0,
        at=0.0,
    )


def told(facts: Iterable[Ended], *operators: FakeProposer) -> History:
    history = History(operators)
    for fact in facts:
        history.tell(fact)
    return history


def test_attempts_are_kept_by_parent_the_newest_last() -> None:
    facts = [ended(n, 1) for n in range(20)] + [ended(None, 2, "not_found")]
    history = told([*facts, ended(None, 2, "model_error")])
    assert len(history.attempts(1)) == ATTEMPTS
    assert [attempt.ended for attempt in history.attempts(2)] == ["not_found"]
    assert history.attempts(3) == ()


def test_attempts_of_parents_tried_long_ago_are_forgotten() -> None:
    parents = [*range(1, PARENTS + 1), 1, PARENTS + 1]
    history = told(ended(n, parent) for n, parent in enumerate(parents))
    assert len(history.attempts(1)) == 2, "it was tried again"
    assert history.attempts(2) == ()
    assert len(history.attempts(3)) == 1


def test_a_failure_is_repaired_once_and_a_failed_repair_is_left_alone() -> None:
    repair = Kind(name="repair", varies="failure")
    facts = [ended(5, 1, "exception"), ended(6, 1, "invalid"), ended(7, 1, "evaluator_error")]
    facts.append(ended(9, 1, "below_threshold"))
    history = told(facts, repair)
    assert history.failure() == (6, 1)
    history.begun("repair", [6])
    assert history.failure() == (5, 1)
    history.tell(ended(8, 5, "exception", "repair"))
    assert history.failure() is None
    assert told(facts).failure() is None, "without an operator that repairs nothing is kept"


def test_only_the_newest_failures_are_kept() -> None:
    history = told(
        (ended(n, 1, "exception") for n in range(2 * FAILURES)), Kind(name="r", varies="failure")
    )
    seen = []
    while (failure := history.failure()) is not None:
        seen.append(failure[0])
        history.begun("r", seen[-1:])
    assert seen == list(range(2 * FAILURES - 1, FAILURES - 1, -1))


def test_a_series_goes_on_until_it_is_long_enough() -> None:
    tune = Kind(name="tune", varies="series")
    facts = [ended(4, 1, operator="tune"), ended(None, 1, "duplicate", "tune")]
    history = told(facts, tune)
    assert history.trials("tune", 1) == (4,)
    assert history.open_series("tune", 3) == 1
    assert history.open_series("tune", 2) is None
    assert history.in_series("tune") == {1, 4}


@pytest.mark.anyio
async def test_history_is_the_same_told_live_and_rebuilt(lab: Laboratory) -> None:
    def make(context: Context, count: int) -> Candidate | Rejected:
        return Rejected("syntax", "no") if count % 4 == 0 else better(context, count)

    def judge(program: Program) -> Evaluation:
        if number_in(program) % 3 == 0 and number_in(program):
            return Evaluation(Outcome.EXCEPTION, message="E", evaluator=FakeEvaluate.version)
        return scored(program)

    lab.proposer.make, lab.evaluate.judge = make, judge
    await lab.search(evaluations=12)
    live, parents = lab.history, range(1, 14)
    attempts = {parent: live.attempts(parent) for parent in parents}
    assert {a.ended for each in attempts.values() for a in each} == {"ok", "exception", "syntax"}
    await lab.resume(evaluations=12)
    assert lab.history is not live
    assert {parent: lab.history.attempts(parent) for parent in parents} == attempts


@dataclass
class TwoCalls:
    """An operator of two model calls, the second about the first reply."""

    name: str = "two"
    model: str = "m"
    arbitrary_code: bool = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        first = await context.complete("m", Request((Message("user", "one"),)))
        second = await context.complete("m", Request((Message("user", first.text),)))
        return Candidate(numbered(float(second.text)), (context.parent.id,))


@dataclass
class OneCall(TwoCalls):
    """An operator of one model call, and a moment's work on its reply."""

    name: str = "one"

    async def propose(self, context: Context) -> Candidate | Rejected:
        reply = await context.complete("m", Request((Message("user", "one"),)))
        await anyio.sleep(0.01)
        return Candidate(numbered(float(reply.text)), (context.parent.id,))


class Scripted:
    name = "m"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.messages[-1].content)
        return Completion("-7", tokens=Tokens(10, 0, 5))

    def parameters(self) -> dict[str, object]:
        return {}

    async def aclose(self) -> None: ...


@pytest.mark.anyio
async def test_replies_of_a_proposal_of_several_calls_are_not_paid_for_again(
    lab: Laboratory,
) -> None:
    from evolve.config.models import ModelConfig, PriceConfig

    model = Scripted()
    lab.models = {"m": model}
    lab.model_configs = (ModelConfig(id="m", price=PriceConfig(input=1, output=1)),)
    lab.proposer = TwoCalls()  # type: ignore[assignment]  # any operator will do
    seed = lab.plant()
    proposal = lab.store.begin_proposal(lab.run_id, 0, "two", 0, [seed.program_id], [], "m")
    call = lab.store.send_completion(proposal, "m", "{}", {}, 0.1)
    lab.store.receive_completion(call, Completion("the plan", tokens=Tokens(10, 0, 5)), 0.1)
    lost = lab.store.send_completion(proposal, "m", "{}", {}, 0.1)

    await lab.resume(evaluations=2)
    assert model.asked == ["the plan"], "the first reply is used, only the lost call is made again"
    found = lab.store.programs(lab.run_id)[-1]
    assert (found.iteration, found.operator, found.objective) == (0, "two", -7)
    states = [call.state for call in lab.store.program(found.id).completions]
    assert states == ["received", "unknown", "received"], lost


@pytest.mark.anyio
async def test_interrupted_a_call_under_way_is_finished_and_no_other_is_begun(
    lab: Laboratory,
) -> None:
    slow(lab, TwoCalls(), 3.0)  # longer than the session and grace_s together

    def stop(loop: Loop) -> None:
        asyncio.get_running_loop().call_later(0.3, loop.interrupt, "interrupted")

    lab.on_start = stop
    assert await lab.search(evaluations=9, grace_s=0.1) == "interrupted"
    totals = lab.store.totals(lab.run_id)
    assert totals.completions == {"received": 1}, "it took longer than the grace, and was kept"
    lab.models, lab.on_start = {"m": Scripted()}, lambda _: None
    await lab.resume(evaluations=2)
    (first, *_) = lab.store.programs(lab.run_id, operator="two")
    calls = lab.store.program(first.id).completions
    assert [call.state for call in calls] == ["received", "received"], "the first one is used"


@pytest.mark.anyio
@pytest.mark.parametrize("order", ["arrival", "strict"])
async def test_what_a_finished_run_paid_for_is_used_though_its_time_is_over(
    lab: Laboratory, order: str
) -> None:
    slow(lab, OneCall(), 3.0)
    lab.order = order
    assert await lab.search(wall_s=1.0, grace_s=0.1) == "wall_s"
    totals = lab.store.totals(lab.run_id)
    assert totals.completions == {"received": 1}
    (found,) = lab.store.programs(lab.run_id, operator="one")
    assert (found.iteration, found.objective) == (0, -7)
    assert list(totals.rejected) == ["interrupted"], "the others were never sent"
    assert lab.left_over() == (0, 0)
    assert lab.counters.evaluations == lab.evaluations() == 2


@pytest.mark.anyio
@pytest.mark.parametrize("order", ["arrival", "strict"])
@pytest.mark.parametrize("calls", [1, 4, 7])
async def test_a_run_that_has_made_its_last_call_leaves_nothing_open(
    lab: Laboratory, order: str, calls: int
) -> None:
    slow(lab, TwoCalls(), 0.0)
    lab.more, lab.order, lab.proposals = (OneCall(),), order, 5
    assert await lab.search(calls=calls) == "calls"
    totals = lab.store.totals(lab.run_id)
    assert totals.completions == {"received": calls}
    assert lab.left_over() == (0, 0)
    for proposal in lab.store.proposals(lab.run_id):
        whole = len(proposal.completions) == (2 if proposal.operator == "two" else 1)
        assert whole == (proposal.reason not in ("budget", "interrupted"))
    lab.models = {}
    assert await lab.resume(calls=calls) == "calls"


def slow(lab: Laboratory, operator: TwoCalls, seconds: float) -> None:
    """Have an operator ask a model that takes so long and answers one at a time."""
    from evolve.config.models import ModelConfig, PriceConfig

    class Slow(Scripted):
        async def complete(self, request: Request) -> Completion:
            await anyio.sleep(seconds)
            return await super().complete(request)

    price = PriceConfig(input=1, output=1)
    lab.models, lab.slots = {"m": Slow()}, 2
    lab.model_configs = (ModelConfig(id="m", price=price, concurrency=1),)
    lab.proposer = operator  # type: ignore[assignment]  # any operator will do
