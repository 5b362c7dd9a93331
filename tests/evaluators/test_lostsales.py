"""Inventory with lost sales: the game, its costs, its seeds, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from evolve import Case, Invalid, Usage
from evolve.config.python_file import load_module

lostsales: Any = load_module(Path(__file__).parents[2] / "evaluators/lostsales.py")


def evaluator(**options: Any) -> Any:
    return lostsales.LostSales(**{"days": 4, "lead_time": 2, **options})


def played(rule: Any, demand: list[int], **options: Any) -> tuple[list[int], Any]:
    """Play a rule through a given demand; return its orders and its score."""
    made, case = evaluator(**options), Case({}, secret=demand)

    async def call(**inputs: float) -> object:
        return rule(**inputs)

    orders = anyio.run(made.interact, case, call)
    return orders, made.score(case, orders, Usage())


def test_costs_are_those_of_stock_and_of_lost_sales() -> None:
    filling = [0] * lostsales.FILLING
    orders, score = played(lambda **_: 3, [*filling, 1, 5, 100, 0], holding=1.0, penalty=4.0)
    assert orders == [3] * 14
    # An order of the evening of day d is there on day d + 2, so day 10 begins with 8 orders of 3
    # in stock beside its own: 24 + 3 units.
    stock = [26, 24, 0, 3]
    lost = [0, 0, 100 - 27, 0]
    assert score.objective == pytest.approx((sum(stock) + 4 * sum(lost)) / 4)
    assert score.measures == {"stock": sum(stock) / 4}
    assert score.metrics == {"lost_sales": sum(lost) / 4}


def test_a_program_sees_stock_and_orders_never_the_demand() -> None:
    seen: list[dict[str, float]] = []

    def rule(**inputs: float) -> float:
        seen.append(inputs)
        return 2.4

    orders, _ = played(rule, [1] * 14)
    assert orders[:3] == [2, 2, 2]
    assert seen[0] == {"on_hand": 0.0, "due": 0.0}
    assert seen[1] == {"on_hand": 0.0, "due": 2.0}
    assert seen[3] == {"on_hand": 2.0, "due": 2.0}


def test_a_seed_makes_the_customers() -> None:
    made = evaluator(days=200)
    case = Case({}, name="one")
    first, again, other = (made.reseed(case, seed) for seed in (7, 7, 8))
    assert first == again
    assert first.secret != other.secret
    assert first.name == "one"
    assert sum(first.secret) / 210 == pytest.approx(5.0, abs=0.6)
    assert list(made.cases("held_out")) == []
    assert list(made.cases("search")) == list(made.cases("search"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "3", None, True, [3]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match=r"order 0 is .* must be (finite|a real number)"):
        played(lambda **_: value, [1] * 14)


def test_orders_are_kept_in_bounds() -> None:
    assert played(lambda **_: -5.0, [1] * 14)[0] == [0] * 14
    assert played(lambda **_: 1e9, [1] * 14)[0] == [lostsales.LARGEST] * 14


def test_other_than_one_order_a_day_is_refused() -> None:
    with pytest.raises(Invalid, match="14 orders"):
        evaluator().score(Case({}, secret=[1] * 14), [1] * 13, Usage())


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evaluator(days=0)
