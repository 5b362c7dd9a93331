"""Money, tokens and calls that may be spent: reserved before, settled after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from evolve.core.errors import BudgetExhausted


@dataclass(frozen=True, slots=True)
class Spent:
    """An amount of what models use up; ``tokens`` are input and output together."""

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usd + other.usd, self.tokens + other.tokens, self.calls + other.calls)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.usd - other.usd, self.tokens - other.tokens, self.calls - other.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be used up in all, None for no limit; the names are those of the stop rules."""

    cost_usd: float | None = None
    tokens: int | None = None
    calls: int | None = None

    def passed(self, total: Spent) -> str:
        """Return the name of a cap that ``total`` passes, or nothing."""
        pairs = {
            "cost_usd": (total.usd, self.cost_usd),
            "tokens": (total.tokens, self.tokens),
            "calls": (total.calls, self.calls),
        }
        over = (name for name, (used, cap) in pairs.items() if cap is not None and used > cap)
        return next(over, "")


@dataclass(slots=True, eq=False)
class Reservation:
    """A part of the budget held for one call; set ``charge`` to what the call really used."""

    amount: Spent
    charge: Spent = Spent()


class Budget:
    """What may be spent. Safe for concurrent use within one event loop.

    Attributes:
        caps: The limits.
        spent: Used up so far, in earlier sessions too.
    """

    def __init__(self, caps: Caps = Caps(), spent: Spent = Spent()) -> None:
        self.caps, self.spent = caps, spent
        self._held, self._holders = Spent(), 0
        self._settled = anyio.Event()

    @asynccontextmanager
    async def reserve(self, amount: Spent) -> AsyncIterator[Reservation]:
        """Hold ``amount`` of the budget inside the context; its ``charge`` is spent at the end.

        Waits while calls in flight may still free enough room.

        Raises:
            BudgetExhausted: the amount does not fit and nothing in flight can change that.
        """
        while self.caps.passed(self.spent + self._held + amount):
            rule = self.caps.passed(self.spent + amount)
            if rule or not self._holders:
                raise BudgetExhausted(_explain(rule, amount, self.spent, self.caps), rule=rule)
            await self._settled.wait()
        reservation = Reservation(amount)
        self._held, self._holders = self._held + amount, self._holders + 1
        try:
            yield reservation
        finally:
            self._holders -= 1
            self._held = self._held - amount if self._holders else Spent()
            self.spent += reservation.charge
            self._settled.set()
            self._settled = anyio.Event()


def _explain(rule: str, amount: Spent, spent: Spent, caps: Caps) -> str:
    if rule == "cost_usd":
        need, used, cap = f"cost up to ${amount.usd:.4f}", f"${spent.usd:.4f}", f"${caps.cost_usd}"
    elif rule == "tokens":
        need, used, cap = f"use up to {amount.tokens} tokens", f"{spent.tokens}", f"{caps.tokens}"
    else:
        need, used, cap = "be one too many", f"{spent.calls}", f"{caps.calls}"
    return f"the next call may {need}, which with {used} already spent could pass the cap of {cap}"
