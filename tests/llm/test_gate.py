"""How many calls a model gets, on a clock that tests can wait for."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from evolve.core.errors import CallRefused, EvolveError, InfrastructureError, ModelUnavailable
from evolve.llm import gate
from evolve.llm.gate import FAILURES, Gate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


class Caller:
    """Makes calls through a gate and counts what became of them."""

    def __init__(self, most: int = 8, outage_s: float = 100.0) -> None:
        self.told: list[str] = []
        self.gate = Gate("openai/m", most, outage_s, self.told.append)
        self.now = self.peak = self.sent = 0

    async def call(self, outcome: EvolveError | None = None, seconds: float = 0.0) -> None:
        async with self.gate.passage():
            self.sent += 1
            self.now += 1
            self.peak = max(self.peak, self.now)
            try:
                await anyio.sleep(seconds)
            finally:
                self.now -= 1
            if outcome is not None:
                raise outcome

    async def fail(self, times: int, error: type[EvolveError] = InfrastructureError) -> None:
        for _ in range(times):
            with pytest.raises(error):
                await self.call(error("no route to host"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "FIRST_PROBE_S", 0.02)
    monkeypatch.setattr(gate, "LAST_PROBE_S", 0.08)
    monkeypatch.setattr(gate, "BURST_S", 0.0)


async def at_once(caller: Caller, count: int, seconds: float = 0.005) -> int:
    """Make ``count`` calls together; return how many were under way at most."""
    caller.peak = 0
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(caller.call, None, seconds)
    return caller.peak


async def test_no_more_calls_than_the_limit_are_under_way() -> None:
    caller = Caller(most=3)
    assert await at_once(caller, 10) == 3
    assert caller.sent == 10


async def test_calls_go_in_the_order_they_came_and_only_those_wake_whose_turn_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller, looks, went = Caller(most=2), 0, []
    wait_s = caller.gate._wait_s
    monkeypatch.setattr(gate, "LAST_PROBE_S", 60.0)

    def counted() -> float:
        nonlocal looks
        looks += 1
        return wait_s()

    async def call(number: int) -> None:
        async with caller.gate.passage():
            went.append(number)
            await anyio.sleep(0.01)

    monkeypatch.setattr(caller.gate, "_wait_s", counted)
    async with anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(call, number)
    assert went == list(range(300))
    assert looks < 3 * 300  # all of them, whenever one ends, would be 300 * 300 / 4


async def test_who_is_cancelled_when_its_turn_comes_lets_the_next_one_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "LAST_PROBE_S", 60.0)
    caller, scope = Caller(most=1), anyio.CancelScope()

    async def first() -> None:
        async with caller.gate.passage():
            await anyio.sleep(0.01)
            scope.cancel()

    async def second() -> None:
        with scope:
            await caller.call()

    with anyio.fail_after(1.0):
        async with anyio.create_task_group() as tasks:
            for job in (first, second, caller.call):
                tasks.start_soon(job)
    assert caller.sent == 1


async def test_the_limit_is_halved_by_a_refusal_and_grows_back_by_one_a_round() -> None:
    caller = Caller(most=8)
    caller.gate.rate_limited(0)
    assert await at_once(caller, 2) <= 4
    caller.gate.rate_limited(0)
    caller.gate.rate_limited(0)
    caller.gate.rate_limited(0)
    assert caller.gate.limit == 1
    sizes = [await at_once(caller, int(caller.gate.limit)) for _ in range(12)]
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == 8
    assert caller.gate.limit == 8
    assert len(caller.told) == 3


async def test_a_burst_of_refusals_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BURST_S", 10.0)
    caller = Caller(most=8)
    for _ in range(8):
        caller.gate.rate_limited(0)
    assert caller.gate.limit == 4


async def test_the_pause_that_a_server_asks_for_holds_new_calls_back() -> None:
    caller = Caller()
    caller.gate.rate_limited(0.06)
    started = anyio.current_time()
    await caller.call()
    assert anyio.current_time() - started == pytest.approx(0.06)


async def test_a_model_that_is_out_gets_one_probe_at_a_time_until_it_answers() -> None:
    caller = Caller()
    await caller.fail(FAILURES)
    caller.sent = 0
    back = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(_until_done, caller, back)
        await anyio.sleep(0.28)
        assert caller.sent == 4, "probes after 20, 40, 80, 80 ms, and the fifth at 300"
        assert caller.peak == 1
        back.set()
    assert not caller.gate.out
    assert "answers again" in caller.told[-1]


async def _until_done(caller: Caller, back: anyio.Event) -> None:
    """Call until a call succeeds, which none does before ``back``."""
    while True:
        try:
            await caller.call(None if back.is_set() else InfrastructureError("still out"))
        except InfrastructureError:
            continue
        return


async def test_a_model_that_is_out_for_too_long_is_given_up_and_says_why() -> None:
    caller = Caller(outage_s=0.05)
    await caller.fail(FAILURES)
    error = InfrastructureError("cannot connect to http://host/v1")
    raised: list[EvolveError] = []
    while not isinstance(raised[-1:] and raised[-1], ModelUnavailable):
        try:
            await caller.call(error)
        except EvolveError as seen:
            raised.append(seen)
    assert "calls in a row failed" in str(raised[-1])
    assert 2 <= len(raised) <= 5
    with pytest.raises(ModelUnavailable, match="http://host/v1"):
        await caller.call()


async def test_a_server_that_goes_on_refusing_is_given_up_sooner() -> None:
    caller = Caller()
    await caller.call()
    await caller.fail(2, CallRefused)
    with pytest.raises(ModelUnavailable, match=r"3 calls in a row were refused: .*KEY_NAME"):
        await caller.call(CallRefused("refuses the key in KEY_NAME"))


async def test_a_success_forgets_earlier_failures() -> None:
    caller = Caller()
    for _ in range(3):
        await caller.fail(FAILURES - 1)
        await caller.call()
    assert not caller.gate.out


async def test_nothing_waits_for_a_model_that_is_out_while_another_answers() -> None:
    caller = Caller(outage_s=0.01)
    caller.gate.others = lambda: True
    await caller.fail(FAILURES)
    with pytest.raises(InfrastructureError, match="does not answer: no route"):
        await caller.call()
    sent = caller.sent
    for _ in range(10):
        await anyio.sleep(0.02)
        with pytest.raises(InfrastructureError):
            await caller.call(InfrastructureError("no route to host"))
    assert sent < caller.sent < sent + 8, "probes go on, the model is never given up"


async def test_a_cancelled_probe_leaves_its_place_to_another() -> None:
    caller = Caller()
    await caller.fail(FAILURES)
    with anyio.move_on_after(0.1):
        await caller.call(None, seconds=10)
    with anyio.fail_after(1):
        await caller.call()
    assert not caller.gate.out
