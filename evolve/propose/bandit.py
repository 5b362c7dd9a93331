"""Which operator with which model next, learnt from what came of earlier proposals.

Thompson sampling (Thompson, 1933) with discounted counts (Raj and Kalyani, 2017), since what helps
early in a search is not what helps late. Every island learns for itself and begins with what the
others have learnt. The state is a fold over what ended, so that a resumed run chooses as an
uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evolve.config.models import PortfolioConfig
from evolve.propose.credit import Credit
from evolve.store.records import Ended

#: Pulls that the belief before any pull is worth; its mean is that of all arms together.
_PRIOR = 2.0
_LEAST_MEAN, _GREATEST_MEAN = 0.02, 0.9
#: A price counts as at least this share of the mean one.
_LEAST_PRICE = 0.05


def drawn_rates(
    rng: np.random.Generator,
    pulls: NDArray[np.float64],
    wins: NDArray[np.float64],
    prior: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Draw how often each arm improves, where ``prior`` was believed before its pulls."""
    prior = np.clip(prior, _LEAST_MEAN, _GREATEST_MEAN)
    losses = np.maximum(pulls - wins, 0.0)
    rates: NDArray[np.float64] = rng.beta(_PRIOR * prior + wins, _PRIOR * (1 - prior) + losses)
    return rates


def drawn_towards(
    usual: float, sums: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return means as they are after a few counts of the ``usual`` one."""
    means: NDArray[np.float64] = (sums + _PRIOR * usual) / (counts + _PRIOR)
    return means


@dataclass(slots=True)
class Bandit:
    """Choose arms by how often they are believed to improve, how much, and what they cost.

    Attributes:
        config: How much is explored and forgotten, and how much money counts.
        arms: Operator and model of each.
        weights: Of each, for the draws that explore.
        credit: Turns what ended into rewards.
    """

    config: PortfolioConfig
    arms: Sequence[tuple[str, str]]
    weights: Sequence[float]
    credit: Credit[tuple[str, str]]
    _islands: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def tell(self, ended: Ended) -> None:
        """Take note of what came of a proposal."""
        reward = self.credit.tell(ended)
        key = ended.operator, ended.model
        if key in self.arms and ended.parents:
            counts = self._islands.setdefault(ended.island, self._none())
            counts *= self.config.discount
            counts[:, self.arms.index(key)] += 1, reward > 0, reward

    def choose(self, rng: np.random.Generator, usable: Sequence[bool], island: int = 0) -> int:
        """Draw the index of a usable arm.

        Args:
            rng: The same state and the same told facts give the same choice.
            usable: For each arm; at least one is.
            island: Where the parent lives.
        """
        allowed = np.array(usable)
        weights = np.array(self.weights) * allowed
        if rng.random() < self.config.explore:
            return int(rng.choice(len(weights), p=weights / weights.sum()))
        often = self._believed(rng, island) * self._sizes(island) / self.prices()
        return int(np.argmax(np.where(allowed, often, -1.0)))

    def _believed(self, rng: np.random.Generator, island: int) -> NDArray[np.float64]:
        """Draw how often each arm improves on anything."""
        pulls, wins, _ = here = self._here(island)
        everywhere = self._everywhere()
        elsewhere = everywhere - here
        total = everywhere[0].sum()
        mean = everywhere[1].sum() / total if total else 0.5
        prior = (elsewhere[1] + _PRIOR * mean) / (elsewhere[0] + _PRIOR)
        return drawn_rates(rng, pulls, wins, prior)

    def _sizes(self, island: int) -> NDArray[np.float64]:
        """Return the mean reward of an arm's improvements, drawn towards that of all."""
        _, wins, rewards = self._here(island)
        _, all_wins, all_rewards = self._everywhere()
        usual = all_rewards.sum() / all_wins.sum() if all_wins.any() else 0.5
        return drawn_towards(usual, rewards, wins)

    def _here(self, island: int) -> NDArray[np.float64]:
        """Return discounted pulls, wins and rewards on an island, shape ``(3, arms)``."""
        return self._islands.get(island, self._none())

    def _everywhere(self) -> NDArray[np.float64]:
        return sum(self._islands.values(), start=self._none())

    def _none(self) -> NDArray[np.float64]:
        return np.zeros((3, len(self.arms)))

    def prices(self) -> NDArray[np.float64]:
        """Return what a pull of each arm costs, 1 on the mean, as far as money counts."""
        found = [self.credit.arms.get(key) for key in self.arms]
        known = np.array([arm.cost_usd / arm.pulls if arm else np.nan for arm in found])
        if np.isnan(known).all() or not np.nansum(known):
            return np.ones(len(self.arms))
        usual = np.nanmean(known)
        shares = np.where(np.isnan(known), 1.0, known / usual)
        money = self.config.money
        prices: NDArray[np.float64] = np.maximum(1 - money + money * shares, _LEAST_PRICE)
        return prices
