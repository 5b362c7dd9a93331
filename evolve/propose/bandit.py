"""Which operator with which model next, learnt from what came of earlier proposals.

Thompson sampling (Thompson, 1933) with discounted counts (Raj and Kalyani, 2017), since what helps
early in a search is not what helps late. The state is a fold over what ended, so that a resumed run
chooses as an uninterrupted one.
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
    credit: Credit
    _pulls: NDArray[np.float64] = field(init=False)
    _wins: NDArray[np.float64] = field(init=False)
    _rewards: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self._pulls, self._wins, self._rewards = np.zeros((3, len(self.arms)))

    def tell(self, ended: Ended) -> None:
        """Take note of what came of a proposal."""
        reward = self.credit.tell(ended)
        key = ended.operator, ended.model
        if key in self.arms and ended.parents:
            index = self.arms.index(key)
            for counts in (self._pulls, self._wins, self._rewards):
                np.multiply(counts, self.config.discount, out=counts)
            self._pulls[index] += 1
            self._wins[index] += reward > 0
            self._rewards[index] += reward

    def choose(self, rng: np.random.Generator, usable: Sequence[bool]) -> int:
        """Draw the index of a usable arm.

        Args:
            rng: The same state and the same told facts give the same choice.
            usable: For each arm; at least one is.
        """
        allowed = np.array(usable)
        weights = np.array(self.weights) * allowed
        if rng.random() < self.config.explore:
            return int(rng.choice(len(weights), p=weights / weights.sum()))
        often = self._believed(rng) * self._sizes() / self.prices()
        return int(np.argmax(np.where(allowed, often, -1.0)))

    def _believed(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw how often each arm improves on anything."""
        total = self._pulls.sum()
        mean = self._wins.sum() / total if total else 0.5
        mean = min(max(mean, _LEAST_MEAN), _GREATEST_MEAN)
        losses = np.maximum(self._pulls - self._wins, 0.0)
        return rng.beta(_PRIOR * mean + self._wins, _PRIOR * (1 - mean) + losses)

    def _sizes(self) -> NDArray[np.float64]:
        """Return the mean reward of an arm's improvements, drawn towards that of all."""
        wins = self._wins.sum()
        usual = self._rewards.sum() / wins if wins else 0.5
        sizes: NDArray[np.float64] = (self._rewards + _PRIOR * usual) / (self._wins + _PRIOR)
        return sizes

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
