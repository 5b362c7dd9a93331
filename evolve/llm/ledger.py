"""The way to the models: every call is recorded, priced, and paid from a budget reserved before.

A request's price is bounded from above before it leaves, and that much of the budget is held until
the reply says what it cost, so the money spent never passes the cap however many calls are in
flight. What this cannot see: a try that timed out and was repeated by the SDK may be billed twice.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from evolve.config.models import ModelConfig, PriceConfig
from evolve.core.errors import (
    BudgetExhausted,
    ConfigError,
    InfrastructureError,
    ModelUnavailable,
    ReplyLost,
)
from evolve.llm.base import Completion, Model, Request, Tokens

_MILLION = 1e6
_FREE = PriceConfig(input=0, output=0)
#: Tokens that a protocol may add around one message.
_TOKENS_PER_MESSAGE = 16


class Recorder(Protocol):
    """Where calls are committed. The engine implements it over the store."""

    def sent(
        self,
        model: str,
        prompt: str,
        parameters: Mapping[str, object],
        reserved_usd: float | None,
    ) -> int:
        """Commit that a request is about to leave, and return the call's id.

        Args:
            model: Its id in the configuration.
            prompt: The request as JSON (`evolve.llm.base.Request.to_json`).
            parameters: The settings sent along.
            reserved_usd: Upper bound of the price, which counts as spent for as long as neither
                of the other methods was called; None when the price is unknown.
        """
        ...

    def received(self, call: int, completion: Completion, charged_usd: float | None) -> None:
        """Commit the reply of a call before anyone uses it.

        Args:
            call: The id from `sent`.
            completion: The reply.
            charged_usd: What counts as spent: the price, or what was reserved when the server
                did not say how many tokens it used; None when the price is unknown.
        """
        ...

    def failed(self, call: int, error: str, charged_usd: float | None) -> None:
        """Commit that a call brought nothing; ``charged_usd`` may be positive all the same."""
        ...


@dataclass(slots=True, eq=False)
class Reservation:
    """A part of the budget held for one call; set ``charge`` to what the call really cost."""

    amount: float
    charge: float = 0.0


class Budget:
    """Money that may be spent. Safe for concurrent use within one event loop.

    Attributes:
        limit_usd: The cap in US dollars, or None.
        spent_usd: Money spent so far, of earlier sessions too.
    """

    def __init__(self, limit_usd: float | None, spent_usd: float = 0.0) -> None:
        self.limit_usd, self.spent_usd = limit_usd, spent_usd
        self._held: set[Reservation] = set()
        self._settled = anyio.Event()

    @asynccontextmanager
    async def reserve(self, amount: float) -> AsyncIterator[Reservation]:
        """Hold ``amount`` of the budget inside the context; its ``charge`` is spent at the end.

        Waits while calls in flight may still free enough room.

        Raises:
            BudgetExhausted: the amount does not fit and nothing in flight can change that.
        """
        while not self._fits(amount):
            if not self._held or self._over(self.spent_usd + amount):
                raise BudgetExhausted(
                    f"the next call may cost up to ${amount:.4f}, which with ${self.spent_usd:.4f} "
                    f"already spent could pass the budget of ${self.limit_usd:.4f}"
                )
            await self._settled.wait()
        reservation = Reservation(amount)
        self._held.add(reservation)
        try:
            yield reservation
        finally:
            self._held.discard(reservation)
            self.spent_usd += reservation.charge
            self._settled.set()
            self._settled = anyio.Event()

    def _fits(self, amount: float) -> bool:
        held = math.fsum(reservation.amount for reservation in self._held)
        return not self._over(self.spent_usd + held + amount)

    def _over(self, total: float) -> bool:
        return self.limit_usd is not None and total > self.limit_usd


class Ledger:
    """The configured models behind one budget.

    Args:
        models: Open models by id.
        configs: Their configurations; prices and reply lengths come from here.
        budget: What may be spent.

    Raises:
        ConfigError: there is a cap but a model's price is unknown.
    """

    def __init__(
        self, models: Mapping[str, Model], configs: Sequence[ModelConfig], budget: Budget
    ) -> None:
        self.budget = budget
        self._models = models
        self._configs = {config.id: config for config in configs}
        check_prices(configs, budget.limit_usd)

    async def complete(self, model: str, request: Request, *, record: Recorder) -> Completion:
        """Ask ``model``; the prompt is committed before it leaves, the reply before it is returned.

        Raises:
            BudgetExhausted: the call could pass the budget; nothing was sent.
            ModelUnavailable: retrying will not help.
            InfrastructureError: the call failed after the SDK's own retries.
        """
        price = price_of(self._configs[model])
        bound = price_bound(request, self._configs[model])
        async with self.budget.reserve(bound or 0.0) as reservation:
            parameters = self._models[model].parameters()
            call = record.sent(model, request.to_json(), parameters, bound)
            reservation.charge = reservation.amount  # given up from here on, it may be billed
            try:
                completion = await self._models[model].complete(request)
            except anyio.get_cancelled_exc_class():
                record.failed(call, "given up before the reply came", bound)
                raise
            except (ModelUnavailable, InfrastructureError) as error:
                charge = bound if isinstance(error, ReplyLost) else 0.0
                reservation.charge = charge or 0.0
                record.failed(call, str(error), charge)
                raise
            cost = None if price is None else cost_usd(completion.tokens, price)
            completion = replace(completion, cost_usd=cost)
            charge = bound if cost is None else cost
            reservation.charge = charge or 0.0
            record.received(call, completion, charge)
            return completion


def check_prices(configs: Sequence[ModelConfig], limit_usd: float | None) -> None:
    """Check that a budget in money can be kept.

    Raises:
        ConfigError: there is a cap but a model's price is unknown.
    """
    unpriced = [config.id for config in configs if price_of(config) is None]
    if limit_usd is not None and unpriced:
        raise ConfigError(
            "stop.cost_usd needs the price of every model; add price: {input: ..., output: ...} in "
            "US dollars per million tokens (0 for a server of your own) to " + ", ".join(unpriced)
        )


def price_of(config: ModelConfig) -> PriceConfig | None:
    """Return the configured price; recorded replies are free unless they have one."""
    if config.price is None and config.id.startswith("replay/"):
        return _FREE
    return config.price


def cost_usd(tokens: Tokens, price: PriceConfig) -> float | None:
    """Return what a call cost in US dollars, or None when the server did not count its tokens."""
    if price.input == 0 == price.output:
        return 0.0
    if tokens.input == 0:  # every request has a prompt
        return None
    cached_price = price.input if price.cached is None else price.cached
    return (
        (tokens.input - tokens.cached) * price.input
        + tokens.cached * cached_price
        + tokens.output * price.output
    ) / _MILLION


def price_bound(request: Request, config: ModelConfig) -> float | None:
    """Return the most that ``request`` can cost in US dollars, None when the price is unknown.

    A token of any byte-level vocabulary stands for at least one byte of the prompt.
    """
    price = price_of(config)
    if price is None:
        return None
    size = sum(len(m.content.encode("utf-8", "replace")) for m in request.messages)
    prompt = size + _TOKENS_PER_MESSAGE * len(request.messages)
    dearest = max(price.input, price.cached or 0.0)
    return (prompt * dearest + config.max_tokens * price.output) / _MILLION
