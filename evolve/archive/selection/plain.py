"""Selection by fitness rank, by chance, or by neither: the plain ways, and the baselines."""

from __future__ import annotations

import numpy as np

from evolve.archive.selection.base import Selector, State, at_least_zero, draw, take


def uniform() -> Selector:
    """Return a selector that takes every occupied cell with equal probability."""

    def select(state: State, rng: np.random.Generator) -> int:
        state.elites()
        champions = state.archive.champions()
        held = state.archive.occupants(champions[int(rng.integers(len(champions)))].cell)
        return held[0 if len(held) == 1 else int(rng.integers(len(held)))].key

    return select


def rank(*, exponent: float = 1.0) -> Selector:
    """Return a selector that prefers the fit: rank r is taken in proportion to r ** -exponent.

    Args:
        exponent: At least 0; 0 takes every elite alike, and the larger, the greedier.

    Raises:
        ValueError: the exponent is negative, NaN or infinite.
    """
    at_least_zero(exponent=exponent)

    def select(state: State, rng: np.random.Generator) -> int:
        elites = state.elites()
        return take(elites, np.arange(1.0, len(elites) + 1) ** -exponent, rng)

    return select


def greedy() -> Selector:
    """Return a selector that always takes the best elite: hill climbing, a baseline."""

    def select(state: State, rng: np.random.Generator) -> int:  # noqa: ARG001 - a Selector
        return state.elites()[0].key

    return select


def mixed(
    *, best: float = 0.5, ranked: float = 0.3, explore: float = 0.2, exponent: float = 1.0
) -> Selector:
    """Return a selector that takes the best elite, one by `rank`, or one by `uniform`.

    Args:
        best: Relative frequency of the best elite.
        ranked: Relative frequency of a choice by rank.
        explore: Relative frequency of a uniform choice.
        exponent: As of `rank`.

    Raises:
        ValueError: a frequency is negative or not finite, all are 0, or the exponent is refused.
    """
    frequencies = np.array([best, ranked, explore], dtype=float)
    at_least_zero(best=best, ranked=ranked, explore=explore)
    if not frequencies.any():
        raise ValueError("best, ranked and explore are all 0, one must not be")
    selectors = (greedy(), rank(exponent=exponent), uniform())

    def select(state: State, rng: np.random.Generator) -> int:
        return selectors[draw(frequencies, rng)](state, rng)

    return select


def best_of_n() -> Selector:
    """Return a selector that always takes the seed program: independent samples, a baseline."""

    def select(state: State, rng: np.random.Generator) -> int:  # noqa: ARG001 - a Selector
        elites = state.elites()
        return elites[0].key if state.census.seed is None else state.census.seed[0]

    return select


def sequential() -> Selector:
    """Return a selector that goes on from the newest program that was no worse: a baseline.

    The walk moves to a program with a score as soon as it is at least as fit as where the walk
    stands, so unlike `greedy` it drifts among equals. Each island has a walk of its own.
    """

    def select(state: State, rng: np.random.Generator) -> int:  # noqa: ARG001 - a Selector
        elites = state.elites()
        here = state.census.islands.get(state.island)
        return elites[0].key if here is None or here.current is None else here.current[0]

    return select
