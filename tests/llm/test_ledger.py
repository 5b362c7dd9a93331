from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.config.models import ModelConfig, PriceConfig
from evolve.core.errors import (
    BudgetExhausted,
    ConfigError,
    EvolveError,
    InfrastructureError,
    ModelUnavailable,
    ReplyLost,
)
from evolve.core.png import encode_png
from evolve.llm.base import Completion, Image, Message, Request, Tokens
from evolve.llm.budget import Budget, Caps, Spent
from evolve.llm.ledger import Ledger, believable, tokens_bound
from evolve.llm.prices import cost_usd, quotes

PRICE = PriceConfig(input=1.0, output=10.0, cached=0.1)


def request(size: int = 100) -> Request:
    return Request((Message("user", "x" * size),), seed=3)


def config(**changes: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {"id": "openai/m", "price": PRICE, "max_tokens": 1000, **changes}
    )


@dataclass
class FakeModel:
    """Answers after some steps of the event loop, or raises."""

    answers: list[Completion | EvolveError]
    steps: int = 1
    name: str = "openai/m"

    async def complete(self, request: Request) -> Completion:
        answer = self.answers.pop(0)
        for _ in range(self.steps):
            await anyio.lowlevel.checkpoint()
        if isinstance(answer, EvolveError):
            raise answer
        return answer

    def parameters(self) -> Mapping[str, object]:
        return {"temperature": 0.5}

    async def aclose(self) -> None: ...


@dataclass
class FakeRecorder:
    """Remembers what was committed, in order."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def sent(
        self,
        model: str,
        prompt: str,
        parameters: Mapping[str, object],
        most: Tokens,
        reserved_usd: float | None,
    ) -> int:
        self.events.append(("sent", model, prompt, parameters, reserved_usd, most))
        return len(self.events)

    def received(self, call: int, completion: Completion) -> None:
        self.events.append(("received", call, completion, completion.cost_usd, completion.tokens))

    def failed(self, call: int, error: str, used: Tokens, charged_usd: float | None) -> None:
        self.events.append(("failed", call, error, charged_usd, used))


def make_ledger(model: FakeModel, config: ModelConfig, budget: Budget) -> Ledger:
    return Ledger({config.id: model}, [config], quotes([config]), budget)


def ask(
    answer: Completion | EvolveError,
    *,
    limit: float | None = None,
    model: ModelConfig | None = None,
) -> tuple[Completion | EvolveError, FakeRecorder, Budget]:
    """Make one call and return what came of it."""
    recorder, budget = FakeRecorder(), Budget(Caps(cost_usd=limit))
    model = model or config()
    ledger = make_ledger(FakeModel([answer]), model, budget)

    async def main() -> Completion | EvolveError:
        try:
            return await ledger.complete(model.id, request(), record=recorder)
        except EvolveError as error:
            return error

    return anyio.run(main), recorder, budget


def test_cost_counts_cached_input_apart_and_reasoning_as_output() -> None:
    tokens = Tokens(input=1_000_000, cached=400_000, output=100_000, reasoning=90_000)
    assert cost_usd(tokens, PRICE) == pytest.approx(0.6 + 0.04 + 1.0)
    without_cached_price = PriceConfig(input=1, output=10)
    assert cost_usd(tokens, without_cached_price) == pytest.approx(2.0)


def test_a_call_is_committed_before_it_leaves_and_its_reply_before_it_is_used() -> None:
    reply, recorder, budget = ask(Completion("hi", tokens=Tokens(input=50, output=20)))
    sent, received = recorder.events
    bound = (100 + 16 + 256) * 1e-6 + 1000 * 10e-6
    assert sent[:2] == ("sent", "openai/m")
    assert json.loads(str(sent[2])) == {
        "messages": [{"role": "user", "content": "x" * 100}],
        "seed": 3,
    }
    most = Tokens(input=372, output=1000)
    assert sent[3:] == ({"temperature": 0.5}, pytest.approx(bound), most)
    cost = 50e-6 + 200e-6
    assert received[:4] == ("received", 1, reply, pytest.approx(cost))
    assert isinstance(reply, Completion)
    assert reply.cost_usd == pytest.approx(cost)
    assert budget.spent.usd == pytest.approx(cost)
    assert (budget.spent.tokens, budget.spent.calls) == (70, 1)


def test_a_reply_without_token_counts_is_charged_what_was_reserved() -> None:
    reply, recorder, budget = ask(Completion("hi"))
    assert isinstance(reply, Completion)
    assert "0 input tokens and 0 output tokens; the most possible is assumed" in reply.note
    assert budget.spent.usd == recorder.events[0][4] == recorder.events[1][3]
    assert reply.tokens == recorder.events[0][5]
    assert budget.spent.usd > 0.01


MOST = Tokens(input=180, output=1000)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (Tokens(50, 40, 20, 10), Tokens(50, 40, 20, 10)),
        (Tokens(10**12, 9, 20), Tokens(180, 0, 20)),
        (Tokens(50, 0, 10**12, 5), Tokens(50, 0, 1000, 0)),
        (Tokens(50, 0, 0), Tokens(50, 0, 1000)),
        (Tokens(0, 0, 20), Tokens(180, 0, 20)),
    ],
)
def test_counts_that_cannot_be_are_replaced_by_the_most_possible(
    told: Tokens, counted: Tokens
) -> None:
    tokens, note = believable(told, MOST, has_text=True)
    assert tokens == counted
    assert bool(note) == (told != counted)


def test_a_reply_without_text_may_have_no_output() -> None:
    assert believable(Tokens(50), MOST, has_text=False) == (Tokens(50), "")
    assert believable(Tokens(50), Tokens(180), has_text=True) == (Tokens(50), ""), "embeddings"


def test_without_a_price_the_cost_is_unknown() -> None:
    reply, recorder, budget = ask(
        Completion("hi", tokens=Tokens(input=50, output=20)), model=config(price=None)
    )
    assert isinstance(reply, Completion)
    assert (reply.cost_usd, recorder.events[1][3], budget.spent.usd) == (None, None, 0.0)
    assert budget.spent.tokens == 70


def test_recorded_replies_are_free() -> None:
    model = config(id="replay/f.jsonl", price=None)
    reply, _, budget = ask(Completion("hi"), model=model, limit=0.01)
    assert isinstance(reply, Completion)
    assert (reply.cost_usd, reply.note, budget.spent) == (0.0, "", Spent(0.0, 0, 1))


@pytest.mark.parametrize("error", [InfrastructureError("500"), ModelUnavailable("401")])
def test_a_call_that_the_server_turned_down_costs_nothing(error: EvolveError) -> None:
    outcome, recorder, budget = ask(error)
    assert outcome is error
    assert recorder.events[1] == ("failed", 1, str(error), 0.0, Tokens())
    assert budget.spent == Spent(0.0, 0, 1)


def test_a_lost_reply_counts_as_paid() -> None:
    _, recorder, budget = ask(ReplyLost("time-out"))
    assert recorder.events[1] == ("failed", 1, "time-out", *recorder.events[0][4:])
    assert budget.spent.usd == recorder.events[0][4]


def test_nothing_is_sent_that_could_pass_the_budget() -> None:
    outcome, recorder, budget = ask(Completion("hi"), limit=0.01)
    assert isinstance(outcome, BudgetExhausted)
    assert outcome.rule == "cost_usd"
    assert "the cap of $0.01" in str(outcome)
    assert recorder.events == []
    assert budget.spent == Spent()


def test_a_budget_needs_the_price_of_every_model() -> None:
    models = [config(), config(id="openai/local", price=None)]
    with pytest.raises(ConfigError, match=r"price.*openai/local$"):
        Ledger({}, models, quotes(models), Budget(Caps(cost_usd=1.0)))
    Ledger({}, models, quotes(models), Budget())


@pytest.mark.parametrize("abandoned", [False, True])
def test_a_cancelled_call_is_waited_for_unless_it_is_abandoned(*, abandoned: bool) -> None:
    recorder, budget = FakeRecorder(), Budget(Caps(cost_usd=1.0))
    reply = Completion("done", tokens=Tokens(input=10, output=1))
    ledger = make_ledger(FakeModel([reply], steps=200), config(), budget)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:

            async def one() -> None:
                await ledger.complete("openai/m", request(), record=recorder)

            tasks.start_soon(one)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            if abandoned:
                ledger.abandon()

    anyio.run(main)
    end = "failed" if abandoned else "received"
    assert [event[0] for event in recorder.events] == ["sent", end]
    reserved = recorder.events[0][4]
    assert isinstance(reserved, float)
    assert budget.spent.usd == reserved if abandoned else 0 < budget.spent.usd < reserved


def test_a_call_waits_for_room_that_one_in_flight_frees() -> None:
    tokens = Tokens(input=10, output=1)
    model = FakeModel([Completion(str(i), tokens=tokens) for i in range(5)], steps=3)
    recorder = FakeRecorder()
    ledger = make_ledger(model, config(), Budget(Caps(cost_usd=0.0105)))  # room for one at a time

    async def main() -> None:
        async with anyio.create_task_group() as tasks:

            async def one() -> None:
                await ledger.complete("openai/m", request(), record=recorder)

            for _ in range(5):
                tasks.start_soon(one)

    anyio.run(main)
    assert [event[0] for event in recorder.events] == ["sent", "received"] * 5


Calls = st.lists(
    st.tuples(
        st.integers(0, 20_000),  # characters of the prompt
        st.floats(0, 1),  # share of the reserved output tokens that is used
        st.integers(0, 4),  # steps of the event loop
        st.sampled_from(["reply", "reply", "reply", "lost", "failed", "uncounted"]),
    ),
    max_size=30,
)


@given(
    calls=Calls,
    caps=st.builds(
        Caps,
        cost_usd=st.none() | st.floats(0, 0.2),
        tokens=st.none() | st.integers(0, 30_000),
        calls=st.none() | st.integers(0, 30),
    ),
    spent=st.builds(Spent, st.floats(0, 0.1), st.integers(0, 10_000), st.integers(0, 10)),
)
def test_no_budget_is_ever_passed(
    calls: list[tuple[int, float, int, str]], caps: Caps, spent: Spent
) -> None:
    budget, recorder = Budget(caps, spent), FakeRecorder()
    ended: list[type] = []

    async def one(size: int, share: float, steps: int, kind: str) -> None:
        answers: dict[str, Completion | EvolveError] = {
            "reply": Completion("", tokens=Tokens(input=size + 1, output=int(1000 * share))),
            "lost": ReplyLost(""),
            "failed": InfrastructureError(""),
            "uncounted": Completion(""),
        }
        ledger = make_ledger(FakeModel([answers[kind]], steps), config(), budget)
        try:
            await ledger.complete("openai/m", request(size), record=recorder)
        except EvolveError as error:
            ended.append(type(error))
        else:
            ended.append(Completion)
        now = budget.spent
        assert caps.cost_usd is None or now.usd <= max(caps.cost_usd, spent.usd)
        assert caps.tokens is None or now.tokens <= max(caps.tokens, spent.tokens)
        assert caps.calls is None or now.calls <= max(caps.calls, spent.calls)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(one, *call)

    anyio.run(main)
    assert len(ended) == len(calls)  # none waits for ever
    charges = [event[3] for event in recorder.events if event[0] != "sent"]
    assert budget.spent.usd - spent.usd == pytest.approx(
        math.fsum(charge for charge in charges if isinstance(charge, float)), abs=1e-12
    )
    used = [event[4] for event in recorder.events if event[0] != "sent"]
    assert budget.spent.tokens - spent.tokens == sum(
        each.input + each.output for each in used if isinstance(each, Tokens)
    )
    assert budget.spent.calls - spent.calls == len(used)


def drawing(width: int, height: int) -> Image:
    return Image("drawing", encode_png(np.zeros((height, width), np.uint8)))


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((512, 512), 2833 + 5667),
        ((1024, 1024), 2833 + 4 * 5667),  # the vendor counts as many
        ((2048, 2048), 2833 + 8 * 5667),
    ],
)
def test_the_budget_reserves_the_tokens_of_images(size: tuple[int, int], tokens: int) -> None:
    seen = Request((Message("user", "x" * 100, (drawing(*size), drawing(1, 1))),))
    without = tokens_bound(request(100), config()).input
    assert tokens_bound(seen, config()).input - without == tokens + 2833 + 5667
    assert tokens_bound(seen, config(image_tokens=300)).input - without == 600


def test_an_image_is_named_in_the_stored_request_and_is_not_part_of_it() -> None:
    image = drawing(4, 3)
    plain, seen = request(), Request((Message("user", "x" * 100, (image,)),), seed=3)
    (message,) = json.loads(seen.to_json())["messages"]
    sha256 = hashlib.sha256(image.png).hexdigest()
    described = {"name": "drawing", "sha256": sha256, "width": 4, "height": 3}
    assert message == {"role": "user", "content": "x" * 100, "images": [described]}
    assert "images" not in plain.to_json()
    assert plain.sha256 != seen.sha256


@pytest.mark.parametrize("changes", [{"id": "command/tool"}, {"api": "embeddings"}])
def test_what_has_no_eyes_cannot_be_said_to_see(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="images cannot be given"):
        config(vision=True, **changes)
