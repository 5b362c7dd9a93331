"""Does the bandit find the arm that helps? Scripted arms of known success rates and prices.

python benchmarks/portfolio.py [--seeds 20] [--budget 3.0]

Each arm improves the objective with a known probability, by an exponentially distributed step, and
costs a known price; facts reach the portfolio as in a run. Every policy spends the same money (a
proposal costs an evaluation too, so at most 600 are made). What counts is the objective at the end.
Regret: how much less than the best single arm brings, as a share of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from evolve.config.models import PortfolioConfig
from evolve.core.measures import Objective
from evolve.propose.bandit import Bandit
from evolve.propose.credit import Credit, by_operator
from evolve.store.records import Ended

MOST = 600


@dataclass(frozen=True, slots=True)
class Script:
    """An arm: what it costs, how often it applies, and how often it helps, early and late."""

    name: str
    usd: float
    applies: float
    early: float
    late: float


SCENARIOS = {
    "one helps": [
        Script("a", 0.01, 0.9, 0.04, 0.04),
        Script("b", 0.01, 0.9, 0.30, 0.30),
        Script("c", 0.01, 0.5, 0.05, 0.05),
        Script("d", 0.01, 0.9, 0.02, 0.02),
    ],
    "dear and cheap": [
        Script("large", 0.05, 0.95, 0.30, 0.30),
        Script("small", 0.005, 0.80, 0.20, 0.20),
        Script("tiny", 0.001, 0.30, 0.01, 0.01),
        Script("medium", 0.02, 0.90, 0.22, 0.22),
    ],
    "one stops helping": [
        Script("a", 0.01, 0.9, 0.40, 0.01),
        Script("b", 0.01, 0.9, 0.10, 0.25),
        Script("c", 0.01, 0.9, 0.02, 0.02),
    ],
    "all alike": [Script(name, 0.01, 0.9, 0.1, 0.1) for name in "abcd"],
}
#: Written after the defaults had been chosen by the scenarios above, and not used to change them.
FRESH = {
    "two of six help": [
        Script("a", 0.01, 0.9, 0.15, 0.15),
        Script("b", 0.02, 0.8, 0.25, 0.25),
        *(Script(name, 0.01, 0.7, 0.03, 0.03) for name in "cdef"),
    ],
    "dear and twice as good": [
        Script("large", 0.02, 0.95, 0.20, 0.20),
        Script("small", 0.01, 0.90, 0.10, 0.10),
    ],
    "one begins to help": [
        Script("a", 0.01, 0.9, 0.10, 0.02),
        Script("b", 0.01, 0.9, 0.01, 0.20),
    ],
}
#: Index of the next arm, given a generator and the number of the proposal.
Choice = Callable[[np.random.Generator], int]


def play(
    arms: list[Script], seed: int, budget: float, choose: Choice, tell: Callable[[Ended], None]
) -> float:
    """Spend the budget and return what the objective came to; it begins at 0."""
    luck = np.random.default_rng([seed, 0])
    best, spent = 0.0, 0.0
    tell(fact("seed", 0.0, 0.0, program=1, parents=()))
    for number in range(MOST):
        arm = arms[choose(np.random.default_rng([seed, 1, number]))]
        if spent + arm.usd > budget:
            break
        spent += arm.usd
        late = spent > budget / 2
        applies, helps, step = luck.random(), luck.random(), luck.exponential()
        if applies > arm.applies:
            tell(fact(arm.name, None, arm.usd))
            continue
        gain = step if helps < (arm.late if late else arm.early) / arm.applies else -step
        tell(fact(arm.name, best + gain, arm.usd, program=number + 2))
        best = max(best, best + gain)
    return best


def fact(
    name: str,
    objective: float | None,
    usd: float,
    *,
    program: int | None = None,
    parents: tuple[int, ...] = (1,),
) -> Ended:
    """Return what a run would have told."""
    return Ended(
        iteration=0,
        operator=name,
        model="",
        island=0,
        parents=parents,
        program_id=program,
        summary="",
        ended="not_found" if objective is None else "ok",
        objective=objective,
        message="",
        cost_usd=usd,
        at=0.0,
    )


def learnt(arms: list[Script], seed: int, budget: float, config: PortfolioConfig) -> float:
    """Play with the bandit."""
    names = [(arm.name, "") for arm in arms]
    bandit = Bandit(config, names, [1.0] * len(arms), Credit(Objective("o"), by_operator))
    usable = [True] * len(arms)
    return play(arms, seed, budget, lambda rng: bandit.choose(rng, usable), bandit.tell)


def main() -> None:
    """Print the regret of each policy in each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=3.0, help="US dollars")
    options = parser.parse_args()
    policies = {
        "bandit": PortfolioConfig(kind="bandit"),
        "money 0": PortfolioConfig(kind="bandit", money=0.0),
        "money 1": PortfolioConfig(kind="bandit", money=1.0),
        "discount 1": PortfolioConfig(kind="bandit", discount=1.0),
        "discount 0.97": PortfolioConfig(kind="bandit", discount=0.97),
        "explore 0.2": PortfolioConfig(kind="bandit", explore=0.2),
    }
    print("| scenario | best arm brings | uniform | " + " | ".join(policies) + " |")
    print("|---|---:|---:|" + "---:|" * len(policies))
    seeds = range(options.seeds)
    for scenario, arms in (SCENARIOS | FRESH).items():
        best = max(
            mean(play(arms, seed, options.budget, always(index), silent) for seed in seeds)
            for index in range(len(arms))
        )
        anyone = uniform(len(arms))
        found = [mean(play(arms, seed, options.budget, anyone, silent) for seed in seeds)]
        found += [
            mean(learnt(arms, seed, options.budget, config) for seed in seeds)
            for config in policies.values()
        ]
        regrets = " | ".join(f"{1 - each / best:.0%}" for each in found)
        print(f"| {scenario} | {best:.1f} | {regrets} |", flush=True)


def always(index: int) -> Choice:
    """Return the policy that knows one arm."""
    return lambda _: index


def uniform(count: int) -> Choice:
    """Return the policy that draws any arm."""
    return lambda rng: int(rng.integers(count))


def silent(ended: Ended) -> None:
    """Learn nothing."""


def mean(results: Iterable[float]) -> float:
    """Return the mean over seeds."""
    return float(np.mean(list(results)))


if __name__ == "__main__":
    main()
