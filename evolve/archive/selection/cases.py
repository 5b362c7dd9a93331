"""Selection that looks at single cases: clusters of equal scores, and who is best at what."""

from __future__ import annotations

import numpy as np

from evolve.archive.base import Elite
from evolve.archive.selection.base import (
    Selector,
    State,
    draw,
    positive,
    softmax,
    standardized,
    take,
)


def clusters(*, temperature: float = 1.0, period: int = 1000) -> Selector:
    """Return a selector among clusters of elites that score alike on every case.

    A cluster is drawn by softmax of its fitness, in median absolute deviations, and in it a
    program, the likelier the shorter. The temperature falls with every evaluation on the island and
    starts anew after each period. (FunSearch: Romera-Paredes et al., "Mathematical discoveries from
    program search with large language models", 2024.) A program without case results is a cluster
    of its own.

    Args:
        temperature: At the start of a period.
        period: Evaluations on the island until it starts anew.

    Raises:
        ValueError: an option is not above 0.
    """
    positive(temperature=temperature, period=period)

    def select(state: State, rng: np.random.Generator) -> int:
        members: dict[object, list[Elite]] = {}
        for elite in state.elites():
            cases = state.profile(elite.key).cases
            members.setdefault(tuple(sorted(cases.items())) or elite.key, []).append(elite)
        found = list(members.values())  # fittest first, as the elites are
        here = state.census.islands.get(state.island)
        gone = 0 if here is None else here.evaluations % period
        fitness = standardized([cluster[0].fitness for cluster in found])
        chosen = found[draw(softmax(fitness, temperature * (1 - gone / period)), rng)]
        return take(chosen, _brevity(state, chosen), rng)

    return select


def pareto() -> Selector:
    """Return a selector among elites that are best on some case, in proportion to how many.

    (GEPA: Agrawal et al., arXiv 2507.19457.) Where no case results are known every elite counts
    alike.
    """

    def select(state: State, rng: np.random.Generator) -> int:
        elites = state.elites()
        scores = [state.profile(elite.key).cases for elite in elites]
        best: dict[str, float] = {}
        for cases in scores:
            for name, fitness in cases.items():
                best[name] = max(best.get(name, fitness), fitness)
        wins = [sum(fitness == best[name] for name, fitness in cases.items()) for cases in scores]
        return take(elites, wins if any(wins) else np.ones(len(elites)), rng)

    return select


def _brevity(state: State, elites: list[Elite]) -> np.ndarray:
    """Return weights that prefer the shorter of some programs."""
    lengths = np.array([state.profile(elite.key).length for elite in elites], dtype=float)
    return softmax(-(lengths - lengths.min()) / max(lengths.max(), 1.0), 1.0)
