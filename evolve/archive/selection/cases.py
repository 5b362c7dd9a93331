"""Selection that looks at single cases: clusters of equal scores, and who is best at what."""

from __future__ import annotations

import numpy as np

from evolve.archive.census import Member
from evolve.archive.selection.base import (
    Selector,
    State,
    at_most_kept,
    draw,
    positive,
    softmax,
    standardized,
    take,
)


def clusters(*, temperature: float = 1.0, period: int = 1000, among: int = 0) -> Selector:
    """Return a selector among clusters of programs that score alike on every case.

    A cluster is drawn by softmax of its fitness, in median absolute deviations, and in it a
    program, the likelier the shorter. The temperature falls with every evaluation on the island and
    starts anew after each period. (FunSearch: Romera-Paredes et al., "Mathematical discoveries from
    program search with large language models", 2024.) A program without case results is a cluster
    of its own.

    Args:
        temperature: At the start of a period.
        period: Evaluations on the island until it starts anew.
        among: How many of the island's fittest programs are clustered, elites or not; as published
            it is all of them. 0: the elites.

    Raises:
        ValueError: an option is not above 0, or ``among`` is more than are known.
    """
    positive(temperature=temperature, period=period)
    at_most_kept(among)

    def select(state: State, rng: np.random.Generator) -> int:
        alike: dict[object, list[Member]] = {}
        for member in state.members(among):
            cases = state.profile(member.key).cases
            alike.setdefault(tuple(sorted(cases.items())) or member.key, []).append(member)
        found = list(alike.values())  # fittest first, as the members are
        here = state.census.islands.get(state.island)
        gone = 0 if here is None else here.evaluations % period
        fitness = standardized([cluster[0].fitness for cluster in found])
        chosen = found[draw(softmax(fitness, temperature * (1 - gone / period)), rng)]
        return take(chosen, _brevity(state, chosen), rng)

    return select


def pareto(*, among: int = 0) -> Selector:
    """Return a selector among programs that are best on some case, in proportion to how many.

    (GEPA: Agrawal et al., arXiv 2507.19457.) Where no case results are known every program counts
    alike.

    Args:
        among: How many of the island's fittest programs are looked at, elites or not; as published
            it is all of them. 0: the elites.

    Raises:
        ValueError: ``among`` is more than are known.
    """
    at_most_kept(among)

    def select(state: State, rng: np.random.Generator) -> int:
        members = state.members(among)
        scores = [state.profile(member.key).cases for member in members]
        best: dict[str, float] = {}
        for cases in scores:
            for name, fitness in cases.items():
                best[name] = max(best.get(name, fitness), fitness)
        wins = [sum(fitness == best[name] for name, fitness in cases.items()) for cases in scores]
        return take(members, wins if any(wins) else np.ones(len(members)), rng)

    return select


def _brevity(state: State, elites: list[Member]) -> np.ndarray:
    """Return weights that prefer the shorter of some programs."""
    lengths = np.array([state.profile(elite.key).length for elite in elites], dtype=float)
    return softmax(-(lengths - lengths.min()) / max(lengths.max(), 1.0), 1.0)
