"""Several controllers on one run, stepped by hand: what one commits, all others fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import numpy as np
import pytest

from evolve.archive.spec import ArchiveSpec
from evolve.config.models import ModelConfig, StopConfig
from evolve.config.problem import Problem
from evolve.core.errors import BudgetExhausted, ControllerLost, RunLocked, StoreError
from evolve.core.evaluation import Evaluation, Outcome, Sample
from evolve.engine.journal import Pending
from evolve.engine.recorder import StoreRecorder
from evolve.engine.shared import SharedBudget
from evolve.engine.stop import stop_reason
from evolve.llm.base import Completion, Tokens
from evolve.llm.budget import Caps, Reservation, Spent
from evolve.llm.gate import Gate
from evolve.store.store import open_store
from tests.engine.fellows import Fellow
from tests.fakes import FakeEvaluate, numbered, scored
from tests.store.samples import Clock

Make = Callable[..., Fellow]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(url: str, problem: Problem, clock: Clock) -> Iterator[Make]:
    made: list[Fellow] = []

    def new(**changes: Any) -> Fellow:
        made.append(Fellow(url, problem, clock, **changes))
        return made[-1]

    yield new
    for each in made:
        each.close()


def state(fellow: Fellow) -> list[object]:
    """Return all that later choices depend on."""
    fellow.order._look_at = -1.0
    fellow.order.inherit()
    islands, counters = fellow.population.islands, fellow.counters
    attempts = {number: fellow.history.attempts(number) for number in range(1, 60)}
    return [
        {number: archive.elites() for number, archive in islands.live.items()},
        islands.everything.elites(),
        fellow.population.census,
        (counters.evaluations, counters.since_improvement, counters.best, counters.failures),
        (counters.calls, counters.cost_usd, counters.tokens, counters.fruitless),
        fellow.population._engaged.busy,
        attempts,
    ]


def at_random(fellows: list[Fellow], steps: int, rng: np.random.Generator) -> None:
    """Have controllers take turns at anything they may do next."""
    waiting: dict[int, list[Pending]] = {number: [] for number in range(len(fellows))}
    for _ in range(steps):
        number = int(rng.integers(len(fellows)))
        fellow, mine = fellows[number], waiting[number]
        if mine and rng.random() < 0.5:
            pending = mine.pop(int(rng.integers(len(mine))))
            failed = Evaluation(Outcome.EXCEPTION, message="no", evaluator=FakeEvaluate.version)
            fellow.record(pending, failed if rng.random() < 0.2 else None)
            continue
        value = None if rng.random() < 0.1 else float(rng.integers(40))
        pending_ = fellow.propose(value)
        mine += [] if pending_ is None else [pending_]


def test_all_controllers_know_the_same_after_any_course(make: Make) -> None:
    fellows = [make(name="a"), make(name="b")]
    rng = np.random.default_rng(4)
    at_random(fellows, 60, rng)
    fellows.append(make(name="c"))  # comes later, and is told by the database
    at_random(fellows, 60, rng)
    first, *others = map(state, fellows)
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            assert mine == theirs
    reader = fellows[0].store
    held = {(e.island, e.cell): e.program_id for e in reader.elites(1)}
    live = fellows[0].population.islands.live
    assert held == {(n, e.cell): e.key for n, archive in live.items() for e in archive.elites()}
    assert len({e.island for e in reader.elites(1)}) > 1
    iterations = [each.iteration for each in reader.proposals(1)]
    assert iterations == list(range(len(iterations)))
    told = [each.evaluations for each in reader.controllers(1)]
    for each in fellows:
        each.store.heartbeat(1)
    told = [each.evaluations for each in reader.controllers(1)]
    assert sum(told) == fellows[0].counters.evaluations
    assert min(told) > 5


def test_cells_get_the_same_edges_for_all(make: Make, problem: Problem) -> None:
    axes = tuple(replace(axis, scale="quantile") for axis in problem.measures)
    spec = ArchiveSpec(axes, warm_up=12)
    fellows = [make(name="a", archive=spec), make(name="b", archive=spec)]
    rng = np.random.default_rng(5)
    at_random(fellows, 70, rng)
    fellows.append(make(name="c", archive=spec))
    at_random(fellows, 20, rng)
    first, *others = map(state, fellows)
    assert others == [first, first]
    assert [each.population.number for each in fellows] == [1, 1, 1]
    assert {each.cell for each in fellows[0].store.elites(1)} == {
        each.cell for each in fellows[2].population.archive.elites()
    }


def test_a_program_that_could_not_be_evaluated_is_left_to_a_later_session(make: Make) -> None:
    one, two = make(name="one"), make(name="two")
    pending = one.propose(3.0)
    assert pending is not None
    fault = Evaluation(Outcome.INFRASTRUCTURE, message="no", evaluator=FakeEvaluate.version)
    one.record(pending, fault)
    assert state(one) == state(two)
    assert two.store.sharing is not None
    assert two.store.sharing.in_flight() == 0
    one.store.release(1, "interrupted", "Ctrl-C")
    two.order._look_at = -1.0
    assert not two.order.inherit().programs
    assert [each.program_id for each in make(name="three").left.programs] == [pending.program_id]


def test_a_budget_is_that_of_all(make: Make) -> None:
    one, two = make(evaluations=4), make(evaluations=4)
    waiting = [one.propose(1.0), two.propose(2.0), two.propose(3.0)]
    assert one.begin() is None, "with the seed program's, there would be five"
    assert two.begin() is None
    for fellow, pending in zip((one, two, two), waiting, strict=True):
        assert pending is not None
        fellow.record(pending)
    one.order._room_at = -1.0
    assert one.begin() is None
    assert one.counters.evaluations == 4


def test_measurements_of_all_controllers_count(make: Make) -> None:
    one, two = make(name="one"), make(name="two")
    one.order.rules = two.order.rules = StopConfig(samples=3)
    pending = one.propose(3.0)
    assert pending is not None
    for repeat in range(2):
        sample = Sample(repeat, scored(pending.program))
        one.store.add_sample(pending.program_id, sample, elapsed_s=0.0)
    assert two.begin() is not None
    assert two.counters.samples == 2
    two.store.add_sample(pending.program_id, Sample(2, scored(pending.program)), elapsed_s=0.0)
    assert one.begin() is None
    assert stop_reason(one.order.rules, one.counters, one.problem.objective) == "samples"


def test_a_program_is_evaluated_by_one_of_those_who_propose_it(make: Make) -> None:
    one, two = make(), make()
    assert one.propose(5.0) is not None
    assert two.propose(5.0) is None
    assert two.counters.failures == {"duplicate": 1}


def test_the_work_of_a_lost_controller_is_taken_over_once(make: Make, clock: Clock) -> None:
    one, two = make(name="one"), make(name="two")
    pending = two.propose(7.0)
    begun = two.begin()
    assert pending is not None
    assert begun is not None
    recorder = StoreRecorder(two.store, two.counters, begun[0].id)
    recorder.sent("m", "{}", {}, Tokens(100, output=20), 0.5)
    one.order.inherit()
    clock.now += 29
    one.store.heartbeat(1)
    assert one.order.inherit() is not None
    assert [each.live for each in one.store.controllers(1)] == [True, True]
    clock.now += 2
    one.order._look_at = -1.0
    left = one.order.inherit()
    assert [each.program_id for each in left.programs] == [pending.program_id]
    assert [each.proposal for each in left.proposals] == [begun[0]]
    assert left.proposals[0].drawn.parent.id == begun[1].parent.id
    assert (one.counters.calls, one.counters.cost_usd) == (1, 0.5)
    lost = one.store.controllers(1)[1]
    assert (lost.status, lost.live) == ("lost", False)

    with pytest.raises(ControllerLost, match="others have taken over its work"):
        two.record(pending)
    with pytest.raises(ControllerLost, match="it has to join again"):
        two.store.heartbeat(1)
    one.record(left.programs[0])
    assert one.counters.evaluations == 2
    assert one.store.totals(1).evaluations == {Outcome.OK: 2}
    one.order._look_at = -1.0
    assert not one.order.inherit().programs, "nothing is taken over twice"
    assert two.store.run(1).status == "running"


def test_what_is_taken_over_is_drawn_from_the_history_it_was_begun_with(
    make: Make, clock: Clock
) -> None:
    one, two = make(name="one"), make(name="two")
    clock.now += 1
    begun = two.begin()
    assert begun is not None
    proposal, drawn = begun
    for number in range(40):  # whichever parents are drawn, one of them is that one
        clock.now += 0.1
        one.propose(None if number % 2 else 50.0 + number)
    parent = drawn.parent.id
    assert len(one.history.attempts(parent)) > len(drawn.attempts)
    two.store.release(1, "interrupted", "Ctrl-C")
    one.order._look_at = -1.0
    (left,) = one.order.inherit().proposals
    assert left.proposal == proposal
    assert left.drawn.attempts == drawn.attempts


def test_the_last_one_settles_the_run(make: Make) -> None:
    one, two = make(name="one"), make(name="two")
    two.store.release(1, "interrupted", "Ctrl-C")
    assert (one.store.run(1).status, one.store.run(1).live) == ("running", True)
    assert not one.order.inherit().programs
    one.store.release(1, "finished", "evaluations")
    run = one.store.run(1)
    assert (run.status, run.reason, run.live) == ("finished", "evaluations", False)


def test_a_run_is_not_finished_while_somebodys_work_is_left(make: Make) -> None:
    one, two = make(name="one"), make(name="two")
    assert two.propose(3.0) is not None
    two.store.release(1, "interrupted", "Ctrl-C")
    one.store.release(1, "finished", "evaluations")
    assert one.store.run(1).status == "interrupted"
    three = make(name="three")
    assert len(three.left.programs) == 1


def test_programs_of_the_comparison_are_no_iterations(make: Make) -> None:
    one = make(name="one", evaluations=2)
    one.store.add_program(1, numbered(9.0), operator="baseline:nine")
    pending = one.propose(3.0)
    assert pending is not None, "a baseline that awaits its evaluation takes no room"
    one.record(pending)
    one.store.release(1, "finished", "evaluations")
    assert one.store.run(1).status == "finished"


def test_a_controller_that_was_lost_to_one_that_shares_nothing_writes_nothing(
    make: Make, url: str, clock: Clock
) -> None:
    one = make(name="one")
    pending = one.propose(3.0)
    assert pending is not None
    clock.now += 31
    with open_store(url, clock=clock) as other:
        other.claim(1, "there:2")
        assert other.recover(1).pending == (pending.program_id,)
        with pytest.raises(ControllerLost):
            one.record(pending)
        with pytest.raises(ControllerLost):
            one.store.heartbeat(1)
        other.heartbeat(1)
        (lost,) = other.controllers(1)
        assert (lost.status, lost.evaluations) == ("lost", 1), "what it had not said itself counts"


def test_a_run_is_shared_or_not(make: Make, url: str) -> None:
    one = make(name="one")
    with open_store(url, clock=one.clock) as other:
        with pytest.raises(RunLocked, match="worked on by one, which shares it; --join"):
            other.claim(1, "there:2")
        one.store.release(1, "interrupted", "Ctrl-C")
        other.claim(1, "there:2")
        with pytest.raises(RunLocked, match="start it with --join to share the run"):
            make(name="two")


def test_money_is_reserved_in_one_ledger(make: Make) -> None:
    anyio.run(check_the_ledger, make(), make())


async def check_the_ledger(one: Fellow, two: Fellow) -> None:
    amount, model = Spent(0.4, 100, 1), ModelConfig(id="openai/m", concurrency=2)
    mine = SharedBudget(Caps(), Spent(), one.order, (model,))
    theirs = SharedBudget(Caps(), Spent(), two.order, (model,))

    async def hold(
        fellow: Fellow, caps: Caps, within_s: float = 60.0
    ) -> tuple[Reservation, StoreRecorder]:
        begun = fellow.begin()
        assert begun is not None
        budget = mine if fellow is one else theirs
        budget.caps = caps
        recorder = StoreRecorder(fellow.store, fellow.counters, begun[0].id)
        send = partial(recorder.sent, "openai/m", "{}", {}, Tokens(90, output=10), 0.4)
        with anyio.fail_after(within_s):
            reserved = await stack.enter_async_context(budget.reserve("openai/m", amount, send))
        return reserved, recorder

    async with AsyncExitStack() as stack:
        reservation, recorder = await hold(one, Caps(cost_usd=1.0))
        await hold(two, Caps(cost_usd=1.0))
        for caps in (Caps(cost_usd=1.0), Caps()):  # 0.8 are held; two calls at once are all
            with pytest.raises(TimeoutError):
                await hold(two, caps, 0.3)
        reply = Completion("text", tokens=Tokens(10, output=5), cost_usd=0.3)
        recorder.received(reservation.call, reply)
        two.order.inherit()
        assert (two.counters.cost_usd, two.counters.calls) == (0.3, 2)
        with pytest.raises(BudgetExhausted, match=r"with \$0\.3000 already spent"):
            await hold(two, Caps(cost_usd=0.6))


def test_too_many_requests_are_too_many_of_all(make: Make) -> None:
    anyio.run(check_rate_limits, make(), make())


def test_a_rate_limit_in_a_request_does_not_wait_for_the_database(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK would take an error of ours for one of the connection, and ask again."""
    anyio.run(check_a_rate_limit_without_a_database, make(), monkeypatch)


async def check_a_rate_limit_without_a_database(
    one: Fellow, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelConfig(id="openai/m", concurrency=8)
    gate = Gate(model.id, model.concurrency, 60.0, lambda _: None)
    SharedBudget(Caps(), Spent(), one.order, (model,)).listen({model.id: gate})

    def lost() -> None:
        raise StoreError("the server is away")

    with monkeypatch.context() as patched:
        patched.setattr(one.store._database, "write", lost)
        gate.rate_limited(30.0)
        with pytest.raises(StoreError):
            one.order.inherit()


async def check_rate_limits(one: Fellow, two: Fellow) -> None:
    model = ModelConfig(id="openai/m", concurrency=8)
    budgets = [SharedBudget(Caps(), Spent(), each.order, (model,)) for each in (one, two)]
    told: list[str] = []
    mine, theirs = (Gate(model.id, model.concurrency, 60.0, told.append) for _ in range(2))
    for budget, gate in zip(budgets, (mine, theirs), strict=True):
        budget.listen({model.id: gate})

    async def send(fellow: Fellow, budget: SharedBudget, within_s: float = 60.0) -> None:
        begun = fellow.begin()
        assert begun is not None
        recorder = StoreRecorder(fellow.store, fellow.counters, begun[0].id)
        call = partial(recorder.sent, model.id, "{}", {}, Tokens(90, output=10), 0.4)
        with anyio.fail_after(within_s):
            await stack.enter_async_context(budget.reserve(model.id, Spent(calls=1), call))

    mine.rate_limited(30.0)
    mine.rate_limited(30.0)  # of the same burst
    one.order.inherit()
    two.order.inherit()
    assert (mine.limit, theirs.limit) == (4, 4)
    with anyio.move_on_after(0.05) as waited:
        async with theirs.passage():
            pytest.fail("a call left during the pause")
    assert waited.cancelled_caught
    theirs.rate_limited(0.0)  # it was on its way when the other one was told
    two.order.inherit()
    one.order._look_at = -1.0
    one.order.inherit()
    assert (mine.limit, theirs.limit) == (4, 4)
    assert told == ["openai/m: too many requests; 4 at once from now on"] * 2

    async with AsyncExitStack() as stack:
        for fellow, budget in ((one, budgets[0]), (two, budgets[1])) * 2:
            await send(fellow, budget)
        for fellow, budget in ((one, budgets[0]), (two, budgets[1])):
            with pytest.raises(TimeoutError):
                await send(fellow, budget, 0.3)
