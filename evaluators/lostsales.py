"""Inventory with lost sales: what does a rule for ordering cost, when customers come by chance?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import numbers

#: Largest order.
LARGEST = 50
#: Days at the start that do not count, while the pipeline fills.
FILLING = 10


class LostSales(Evaluator):
    """Minimise the mean cost of a day; demand is Poisson, and drawn anew for every sample.

    Args:
        days: Days that count.
        mean: Mean demand of a day.
        lead_time: Days from an order to its arrival, at least 1.
        holding: Cost of a unit on hand overnight.
        penalty: Cost of a lost sale.
    """

    def __init__(
        self,
        days: int = 60,
        mean: float = 5.0,
        lead_time: int = 3,
        holding: float = 1.0,
        penalty: float = 4.0,
    ) -> None:
        if days < 1 or lead_time < 1:
            raise ValueError(f"days is {days} and lead_time {lead_time}, must be at least 1")
        self._days, self._mean, self._lead = days, mean, lead_time
        self._holding, self._penalty = holding, penalty

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case, to be seeded; without a seed its customers are always the same."""
        if stage == "search":
            yield self.reseed(Case({}), 0)

    def reseed(self, case: Case, seed: int) -> Case:
        """Draw the demand of every day."""
        demand = np.random.default_rng(seed).poisson(self._mean, FILLING + self._days)
        return replace(case, seed=seed, secret=demand.tolist())

    async def interact(self, case: Case, call: Call) -> Value:
        """Play day by day, and return the orders."""
        orders: list[int] = []
        game = _Game(self._lead)
        for demand in _demand(case):
            game.day(demand)
            answer = await call(on_hand=float(game.stock), due=float(sum(game.due)))
            orders.append(_units(answer))
            game.order(orders[-1])
        return list(orders)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Play the days again with these orders, and add up what they cost."""
        demand = _demand(case)
        if not isinstance(output, list) or len(output) != len(demand):
            raise Invalid(f"{len(demand)} orders are due, one for each day")
        game, stock, lost = _Game(self._lead), 0, 0
        for number, (wanted, units) in enumerate(zip(demand, output, strict=True)):
            missed = game.day(wanted)
            if number >= FILLING:
                stock, lost = stock + game.stock, lost + missed
            game.order(_units(units))
        days = len(demand) - FILLING
        cost = (self._holding * stock + self._penalty * lost) / days
        return Score(
            objective=cost,
            measures={"stock": stock / days},
            metrics={"lost_sales": lost / days},
            feedback=f"on average {stock / days:.2f} units overnight, {lost / days:.2f} sales lost",
        )


class _Game:
    """Stock, and what is under way; ``due`` begins with what comes tomorrow."""

    def __init__(self, lead_time: int) -> None:
        self.stock = 0
        self.due: deque[int] = deque([0] * lead_time)

    def day(self, demand: int) -> int:
        """Receive what is due and serve the day's customers; return the sales lost."""
        self.stock += self.due.popleft()
        served = min(self.stock, demand)
        self.stock -= served
        return demand - served

    def order(self, units: int) -> None:
        self.due.append(units)


def _demand(case: Case) -> Sequence[int]:
    assert isinstance(case.secret, list)  # from `LostSales.reseed`
    return case.secret


def _units(value: Value) -> int:
    """Return an order in whole units."""
    (units,) = numbers([value], count=1, name="order")
    return min(max(round(units), 0), LARGEST)
