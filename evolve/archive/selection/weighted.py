"""Selection by weights that fall with what has been tried: temperature, counts, curiosity."""

from __future__ import annotations

import numpy as np

from evolve.archive.selection.base import (
    Selector,
    State,
    positive,
    softmax,
    standardized,
    take,
)


def annealed(*, temperature: float = 2.0, final: float = 0.2, evaluations: int = 1000) -> Selector:
    """Return a selector by softmax of fitness, whose temperature falls as the search goes on.

    Fitness counts in median absolute deviations of the elites' fitness, so that the temperature
    means the same in every problem.

    Args:
        temperature: At the start; the larger, the more alike all elites are.
        final: After ``evaluations`` and from then on; in between it falls geometrically.
        evaluations: How long it falls.

    Raises:
        ValueError: an option is not above 0.
    """
    positive(temperature=temperature, final=final, evaluations=evaluations)

    def select(state: State, rng: np.random.Generator) -> int:
        elites = state.elites()
        done = min(state.census.evaluations / evaluations, 1.0)
        now = temperature * (final / temperature) ** done
        return take(elites, softmax(standardized([e.fitness for e in elites]), now), rng)

    return select


def curiosity(*, floor: float = 0.1) -> Selector:
    """Return a selector that prefers elites whose children got into the archive lately.

    (Cully and Demiris, "Quality and diversity optimization: a unifying modular framework", 2018.)

    Args:
        floor: Added to every curiosity score, so that no elite is out of reach; above 0.

    Raises:
        ValueError: the floor is not above 0.
    """
    positive(floor=floor)

    def select(state: State, rng: np.random.Generator) -> int:
        elites, scores = state.elites(), state.census.curiosity
        return take(elites, [scores.get(e.key, 0.0) + floor for e in elites], rng)

    return select


def novelty(*, exponent: float = 2.0) -> Selector:
    """Return a selector that prefers elites of few children, whatever their fitness.

    The weight of an elite with n children, proposals in vain or under way included, is
    (1 + n) ** -exponent: exploration by counts, which walks along the edge of what was reached.

    Args:
        exponent: Above 0; the larger, the closer to always the least tried.

    Raises:
        ValueError: the exponent is not above 0.
    """
    positive(exponent=exponent)

    def select(state: State, rng: np.random.Generator) -> int:
        elites = state.elites()
        return take(elites, [(1.0 + state.tried(e.key)) ** -exponent for e in elites], rng)

    return select


def weighted(*, sharpness: float = 10.0) -> Selector:
    """Return a selector that weighs fitness by the novelty of having few children.

    The weight is ``sigmoid(sharpness * z) / (1 + n)``, where z is fitness in median absolute
    deviations above the median and n counts children, proposals in vain or under way included.
    (ShinkaEvolve, arXiv 2509.19349.)

    Args:
        sharpness: Above 0; how sharply the upper half is preferred to the lower one.

    Raises:
        ValueError: the sharpness is not above 0.
    """
    positive(sharpness=sharpness)

    def select(state: State, rng: np.random.Generator) -> int:
        elites = state.elites()
        logits = sharpness * standardized([e.fitness for e in elites])
        fit = 0.5 * (1.0 + np.tanh(logits / 2))  # the sigmoid, without overflow
        counts = np.array([1.0 + state.tried(e.key) for e in elites])
        return take(elites, fit / counts, rng)

    return select
