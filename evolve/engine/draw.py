"""The random choices of one iteration, from the run's seed and the iteration alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evolve.config.problem import Problem
from evolve.engine.population import Population
from evolve.propose.base import Complete, Context, Individual, Proposer
from evolve.propose.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class Draw:
    """Who varies what in an iteration, and with what chance left for the operator."""

    operator: Proposer
    parent: Individual
    inspirations: tuple[Individual, ...]
    rng: np.random.Generator
    seed: int

    def context(self, problem: Problem, complete: Complete) -> Context:
        """Return what the operator is given."""
        return Context(problem, self.parent, self.inspirations, self.rng, self.seed, complete)


def draw(seed: int, iteration: int, portfolio: Portfolio, population: Population) -> Draw:
    """Choose operator, parent and inspirations for ``iteration``."""
    rng = np.random.default_rng([seed, iteration])
    operator = portfolio.choose(rng)
    parent, inspirations = population.choose(rng)
    return Draw(operator, parent, inspirations, rng, int(rng.integers(2**31)))
