"""The portfolio that learns: rewards, choices, and a state that is a fold over what ended."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.config.models import PortfolioConfig, ProposerConfig, RunConfig
from evolve.core.errors import ConfigError
from evolve.core.measures import Objective
from evolve.propose.bandit import Bandit
from evolve.propose.credit import Credit, by_operator
from evolve.propose.portfolio import open_portfolio, open_proposers
from evolve.store.records import Ended

A, B, C = ("diff", "small"), ("diff", "large"), ("genetic", "")


def fact(
    arm: tuple[str, str] = A,
    objective: float | None = None,
    *,
    parent: int = 1,
    program: int | None = None,
    how: str = "",
    cost: float = 0.0,
    island: int = 0,
) -> Ended:
    return Ended(
        iteration=0,
        operator=arm[0],
        model=arm[1],
        island=island,
        parents=(parent,),
        program_id=program,
        summary="",
        ended=how or ("syntax" if objective is None else "ok"),
        objective=objective,
        message="",
        cost_usd=cost,
        at=0.0,
    )


SEED = fact(("seed", ""), 0.0, program=1)._replace(parents=(), iteration=None)


def credit(direction: str = "maximize") -> Credit[tuple[str, str]]:
    made = Credit(Objective("o", direction), by_operator)  # type: ignore[arg-type]  # one of the two
    made.tell(SEED)
    return made


def test_rewards_are_between_nothing_and_one_and_have_no_unit() -> None:
    facts = [fact(A, value, program=2 + n) for n, value in enumerate([1, 0.5, 2, -1, 2.5, 100, 3])]

    def rewards(scale: float, direction: str) -> list[float]:
        told = credit(direction)
        return [told.tell(each._replace(objective=(each.objective or 0) * scale)) for each in facts]

    first = rewards(1.0, "maximize")
    assert first == pytest.approx(rewards(1e6, "maximize"))
    assert first == pytest.approx(rewards(-1.0, "minimize"))
    assert all(0 <= reward < 1 for reward in first)
    assert first[3] == 0, "worse than its parent"
    assert 0 < first[1] < 0.5, "better than its parent, no record"
    assert first[5] > 0.9, "far better than any"


def test_every_stage_is_counted() -> None:
    told = credit()
    told.tell(fact(A, cost=0.5))
    told.tell(fact(A, program=2, how="exception", cost=0.5))
    told.tell(fact(A, -1.0, program=3, cost=1.0))
    told.tell(fact(A, 1.0, program=4, cost=1.0))
    arm = told.arms[A]
    assert (arm.pulls, arm.applied, arm.valid, arm.improved, arm.records) == (4, 3, 2, 1, 1)
    assert arm.cost_usd == 3.0
    assert arm.reward_per_usd == pytest.approx(arm.reward / 3)
    assert list(told.arms) == [A], "the seed program is nobody's"


def test_a_repaired_program_is_compared_with_what_the_failed_one_was_made_from() -> None:
    told = credit()
    told.tell(fact(A, program=2, how="exception"))
    told.tell(fact(("repair", "m"), -1.0, parent=2, program=3))
    assert told.arms["repair", "m"].improved == 0
    told.tell(fact(("repair", "m"), 1.0, parent=2, program=4))
    assert told.arms["repair", "m"].improved == 1


def test_records_are_those_of_the_island() -> None:
    told = credit()
    told.tell(fact(A, 5.0, program=2))
    told.tell(fact(A, 1.0, program=3, island=1))
    told.tell(fact(A, 2.0, parent=3, program=4, island=1))
    assert told.arms[A].records == 2


def bandit(**config: float) -> Bandit:
    settings = PortfolioConfig(kind="bandit", **config)
    return Bandit(settings, (A, B, C), (1.0, 1.0, 2.0), credit())


def choices(
    made: Bandit, usable: tuple[bool, ...] = (True, True, True), island: int = 0
) -> Counter[int]:
    return Counter(made.choose(np.random.default_rng([1, n]), usable, island) for n in range(400))


def test_it_chooses_what_helps_and_never_forgets_the_others() -> None:
    made = bandit(explore=0.2)
    for n in range(60):
        made.tell(fact(A, program=None))
        made.tell(fact(B, 1.0 + n, program=10 + n))
        made.tell(fact(C, -1.0, program=100 + n))
    drawn = choices(made)
    assert drawn[1] > 300
    assert drawn[2] > drawn[0] > 5, "exploring goes by weight"
    assert set(choices(bandit(explore=1.0))) == {0, 1, 2}


def test_every_island_learns_for_itself_and_begins_with_what_others_have_learnt() -> None:
    made = bandit(explore=0.0)
    before = choices(made, island=7)
    for n in range(60):
        made.tell(fact(A, 1.0 + n, program=10 + n))
        made.tell(fact(B))
    assert choices(made)[0] > 300
    assert choices(made, island=7)[0] > before[0] + 50
    for n in range(60):
        made.tell(fact(A, island=1))
        made.tell(fact(B, 100.0 + n, program=100 + n, island=1))
    assert choices(made, island=1)[1] > 300
    assert choices(made)[0] > 300


def test_it_draws_usable_arms_only() -> None:
    assert set(choices(bandit(explore=0.5), (True, False, False))) == {0}


def test_money_counts_as_much_as_told() -> None:
    def made(money: float) -> Bandit:
        it = bandit(explore=0.0, money=money)
        for n in range(40):
            it.tell(fact(A, 1.0 + 2 * n, program=10 + n, cost=0.1))
            it.tell(fact(B, 2.0 + 2 * n, program=100 + n, cost=1.9))
            it.tell(fact(C, -1.0, program=200 + n))
        return it

    assert choices(made(1.0))[0] > 390
    assert abs(choices(made(0.0))[0] - 200) < 120, "equal rewards"
    free = made(1.0)
    assert all(free.prices() >= 0.05), "what is free has a price all the same"


def test_it_forgets_what_helped_long_ago() -> None:
    made = bandit(explore=0.0, discount=0.95)
    for n in range(50):
        made.tell(fact(A, 1.0 + n, program=10 + n))
        made.tell(fact(B))
    assert choices(made)[0] > 300
    for n in range(100):
        made.tell(fact(A))
        made.tell(fact(B, 1000.0 + n, program=1000 + n))
    assert choices(made)[1] > 300


@given(st.lists(st.tuples(st.sampled_from([A, B, C, ("other", "")]), st.none() | st.floats(-9, 9))))
def test_the_same_facts_make_the_same_choices(told: list[tuple[tuple[str, str], float]]) -> None:
    one, two = bandit(), bandit()
    for made in (one, two):
        for n, (arm, objective) in enumerate(told):
            made.tell(fact(arm, objective, program=10 + n, cost=0.1))
    assert choices(one) == choices(two)


MODELS = ["openai/a", "openai/b"]


def test_a_star_makes_an_arm_of_every_model() -> None:
    made = open_proposers([ProposerConfig(kind="diff", options={"model": "*"})], MODELS, Path())
    assert made.arms == (("diff", "openai/a"), ("diff", "openai/b"))


def test_a_configuration_opens_the_bandit() -> None:
    config = RunConfig.model_validate(
        {
            "problem": "p",
            "proposers": [{"kind": "genetic"}, {"kind": "diff", "options": {"model": "*"}}],
            "portfolio": {"kind": "bandit"},
            "stop": {"evaluations": 1},
        }
    )
    made = open_portfolio(config, MODELS, Objective("o"), Path())
    assert made.bandit is not None
    assert made.bandit.arms == (("genetic", ""), ("diff", "openai/a"), ("diff", "openai/b"))
    made.tell(fact(("genetic", "")))
    assert made.bandit.credit.arms["genetic", ""].pulls == 1
    with pytest.raises(ConfigError, match="the operator genetic is configured twice"):
        open_proposers([ProposerConfig(kind="genetic")] * 2, [], Path())
