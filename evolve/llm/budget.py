"""Money, tokens and calls that may be spent: reserved before, settled after."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.lowlevel

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
    """A part of the budget held for one call; set ``charge`` to what the call really used.

    ``call`` is what committing the call returned.
    """

    amount: Spent
    call: int
    charge: Spent


class Budget:
    """What may be spent. Safe for concurrent use within one event loop.

    Attributes:
        caps: The limits.
        spent: Used up so far, in earlier sessions too.
        held: What the calls in flight may come to.
        asking: How many they are, by model.
    """

    def __init__(self, caps: Caps = Caps(), spent: Spent = Spent()) -> None:
        self.caps, self.spent = caps, spent
        self.held, self._holders = Spent(), 0
        self.asking = Counter[str]()
        self._settled = anyio.Event()

    @asynccontextmanager
    async def reserve(
        self, model: str, amount: Spent, send: Callable[[], int]
    ) -> AsyncIterator[Reservation]:
        """Hold ``amount`` of the budget inside the context; its ``charge`` is spent at the end.

        Waits while calls in flight may still free enough room.

        Args:
            model: Who is asked.
            amount: What the call takes at most; it is charged in full unless told otherwise.
            send: Commits the call, at once when there is room, and returns its id.

        Raises:
            BudgetExhausted: the amount does not fit and nothing in flight can change that.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()  # from `send` on it would not be noticed
        while (call := self.begin(model, amount, send)) is None:
            await self.wait()
        reservation = Reservation(amount, call, charge=amount)
        self.held, self._holders = self.held + amount, self._holders + 1
        self.asking[model] += 1
        try:
            yield reservation
        finally:
            self._holders -= 1
            self.held = self.held - amount if self._holders else Spent()
            self.asking[model] -= 1
            self.spent += reservation.charge
            self._settled.set()
            self._settled = anyio.Event()

    def begin(
        self,
        model: str,  # noqa: ARG002 - for who counts calls by model
        amount: Spent,
        send: Callable[[], int],
    ) -> int | None:
        """Commit a call if there is room for it, see `reserve`; None: there may be room later.

        Raises:
            BudgetExhausted: nothing in flight can make enough room.
        """
        return send() if self.fits(amount, self.held) else None

    def fits(self, amount: Spent, held: Spent) -> bool:
        """Return whether there is room for an amount beside what is ``held``.

        Raises:
            BudgetExhausted: there is none, and what is held cannot make enough.
        """
        if not self.caps.passed(self.spent + held + amount):
            return True
        if rule := self.caps.passed(self.spent + amount):
            raise BudgetExhausted(_explain(rule, amount, self.spent, self.caps), rule=rule)
        return False

    async def wait(self) -> None:
        """Wait until a call has ended, and notice that one is cancelled."""
        await self._settled.wait()
        await anyio.lowlevel.checkpoint_if_cancelled()


def _explain(rule: str, amount: Spent, spent: Spent, caps: Caps) -> str:
    advice = "; a lower max_tokens of the model reserves less"
    if rule == "cost_usd":
        need, used, cap = f"cost up to ${amount.usd:.4f}", f"${spent.usd:.4f}", f"${caps.cost_usd}"
    elif rule == "tokens":
        need, used, cap = f"use up to {amount.tokens} tokens", f"{spent.tokens}", f"{caps.tokens}"
    else:
        need, used, cap, advice = "be one too many", f"{spent.calls}", f"{caps.calls}", ""
    could = f"which with {used} already spent could pass the cap of {cap}"
    return f"the next call may {need}, {could}{advice}"
