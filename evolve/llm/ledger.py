"""The way to the models: every call is recorded, priced, and paid from a budget reserved before.

What a request uses up is bounded from above before it leaves, and that much of the budget is held
until the reply says what it was, so no cap is passed however many calls are in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import anyio
import anyio.lowlevel

from evolve.config.models import ModelConfig
from evolve.core.errors import InfrastructureError, ModelUnavailable, ReplyLost
from evolve.llm.base import Completion, Model, RateLimited, Request, Tokens
from evolve.llm.budget import Budget, Reservation, Spent
from evolve.llm.gate import Gate
from evolve.llm.prices import Quote, check_prices, cost_usd, dearest_usd

#: Tokens that a protocol may add around one message, and a chat template around all of them.
_TOKENS_PER_MESSAGE, _TOKENS_PER_REQUEST = 16, 256


class Recorder(Protocol):
    """Where calls are committed. The engine implements it over the store."""

    def sent(
        self,
        model: str,
        prompt: str,
        parameters: Mapping[str, object],
        most: Tokens,
        reserved_usd: float | None,
    ) -> int:
        """Commit that a request is about to leave, and return the call's id.

        Args:
            model: Its id in the configuration.
            prompt: The request as JSON (`evolve.llm.base.Request.to_json`).
            parameters: The settings sent along.
            most: Upper bound of the tokens, which count as used for as long as neither of the
                other methods was called.
            reserved_usd: Upper bound of the price, likewise; None when the price is unknown.
        """
        ...

    def received(self, call: int, completion: Completion) -> None:
        """Commit the reply of a call before anyone uses it, with its tokens and its cost."""
        ...

    def failed(self, call: int, error: str, used: Tokens, charged_usd: float | None) -> None:
        """Commit that a call brought nothing; it may have used and cost something all the same."""
        ...


class Ledger:
    """The configured models behind one budget, each behind a `Gate`.

    Args:
        models: Open models by id.
        configs: Their configurations.
        prices: What they cost, by id.
        budget: What may be spent.
        tell: Told of outages and rate limits.

    Raises:
        ConfigError: there is a cap in money but a model's price is unknown.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        configs: Sequence[ModelConfig],
        prices: Mapping[str, Quote],
        budget: Budget,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        check_prices(prices, budget.caps.cost_usd)
        self.budget = budget
        self._models, self._prices = models, prices
        self._in_flight: set[anyio.CancelScope] = set()
        self._configs = {config.id: config for config in configs}
        self.gates = {
            config.id: Gate(config.id, config.concurrency, config.outage_s, tell)
            for config in configs
        }
        for name, model in models.items():
            if isinstance(model, RateLimited):
                model.on_rate_limit(self.gates[name].rate_limited)
            self.gates[name].others = partial(self._others, name)

    async def complete(self, model: str, request: Request, *, record: Recorder) -> Completion:
        """Ask ``model``; the prompt is committed before it leaves, the reply before it is returned.

        Cancelled while the request is under way, it ends only when the reply is committed, since it
        is paid for; `abandon` gives it up.

        Raises:
            BudgetExhausted: the call could pass the budget; nothing was sent.
            ModelUnavailable: retrying will not help.
            InfrastructureError: the call failed after the SDK's own retries.
        """
        most = tokens_bound(request, self._configs[model])
        price = self._prices[model].price
        bound = None if price is None else dearest_usd(most, price)
        held = Spent(bound or 0.0, most.input + most.output, 1)
        parameters = self._models[model].parameters()
        send = partial(record.sent, model, request.to_json(), parameters, most, bound)
        async with (
            self.gates[model].passage(),
            self.budget.reserve(model, held, send) as reservation,
        ):
            return await self._ask(model, request, most, bound, reservation, record)

    async def _ask(
        self,
        model: str,
        request: Request,
        most: Tokens,
        bound: float | None,
        reservation: Reservation,
        record: Recorder,
    ) -> Completion:
        call = reservation.call
        try:
            completion = await self._patiently(model, request)
        except (ModelUnavailable, InfrastructureError) as error:
            if isinstance(error, ReplyLost):
                record.failed(call, str(error), most, bound)
            else:
                reservation.charge = Spent(calls=1)
                record.failed(call, str(error), Tokens(), 0.0)
            await anyio.lowlevel.checkpoint_if_cancelled()  # then nobody waits for the error
            raise
        completion = self._settle(completion, most, self._configs[model], self._prices[model])
        tokens = completion.tokens
        reservation.charge = Spent(completion.cost_usd or 0.0, tokens.input + tokens.output, 1)
        record.received(call, completion)
        return completion

    async def _patiently(self, model: str, request: Request) -> Completion:
        """Wait for a reply even if cancelled.

        Raises:
            ReplyLost: it was abandoned.
        """
        with anyio.CancelScope(shield=True) as scope:
            self._in_flight.add(scope)
            try:
                return await self._models[model].complete(request)
            finally:
                self._in_flight.discard(scope)
        raise ReplyLost(f"{model}: given up before the reply came")

    def abandon(self) -> None:
        """Give up the replies under way; what was reserved for them counts as spent."""
        for scope in list(self._in_flight):
            scope.cancel()

    def _settle(
        self, completion: Completion, most: Tokens, config: ModelConfig, quoted: Quote
    ) -> Completion:
        """Fill in tokens that can be believed and the price."""
        tokens, note = completion.tokens, ""
        if not config.id.startswith("replay/"):  # recorded: whatever the line says
            tokens, note = believable(tokens, most, has_text=bool(completion.text))
        cost = None if quoted.price is None else cost_usd(tokens, quoted.price)
        return replace(completion, tokens=tokens, note=note, cost_usd=cost)

    def _others(self, name: str) -> bool:
        """Return whether a model beside ``name`` answers, for proposals to go on with."""
        return any(
            not gate.out
            for other, gate in self.gates.items()
            if other != name and self._configs[other].api != "embeddings"
        )


def tokens_bound(request: Request, config: ModelConfig) -> Tokens:
    """Return the most input and output tokens that ``request`` can take.

    A token of any byte-level vocabulary stands for at least one byte of the prompt. An image takes
    what the configuration says, or the most that a vendor counts for one of its size.
    """
    size = sum(len(m.content.encode("utf-8", "replace")) for m in request.messages)
    images = [image for message in request.messages for image in message.images]
    size += sum(config.image_tokens or image.tokens for image in images)
    around = _TOKENS_PER_MESSAGE * len(request.messages) + _TOKENS_PER_REQUEST
    return Tokens(size + around, output=0 if config.api == "embeddings" else config.max_tokens)


def believable(tokens: Tokens, most: Tokens, *, has_text: bool) -> tuple[Tokens, str]:
    """Return token counts that can be believed, and a note on those that had to be assumed.

    A count that is missing, or more than the request can have taken, is replaced by the most.
    """
    wrong = []
    if not 0 < tokens.input <= most.input:  # every request has a prompt
        wrong.append(f"{tokens.input} input tokens")
        tokens = replace(tokens, input=most.input, cached=0, written=0)
        missing = tokens.output == 0
    else:
        missing = has_text and tokens.output == 0 < most.output
    if missing or tokens.output > most.output:
        wrong.append(f"{tokens.output} output tokens")
        tokens = replace(tokens, output=most.output, reasoning=0)
    if not wrong:
        return tokens, ""
    return tokens, f"the server counted {' and '.join(wrong)}; the most possible is assumed"
