"""Exploit while the search gets on, explore when it does not: the engine's own way to select."""

from __future__ import annotations

import math

import numpy as np

from evolve.archive.selection.base import Selector, State, at_least_zero, positive
from evolve.archive.selection.plain import greedy
from evolve.archive.selection.weighted import novelty


def adaptive(
    *, explore: float = 0.9, floor: float = 0.0, pace: float = 0.1, exponent: float = 8.0
) -> Selector:
    """Return a selector that takes the best elite, or by `novelty` the more the island stagnates.

    How fast the island improves lately, as a share of how fast the run did on average, is its
    `evolve.archive.census.IslandCensus.pace`. The share of exploration is ``floor + (explore -
    floor) * exp(-current pace / pace)``: a search that gets on is left to hill climbing, one
    that is stuck spreads over the map. (After the adaptive intensity of AdaEvolve, arXiv
    2602.20133; the signal is another one, which has no unit.)

    Args:
        explore: Share of exploration on an island where nothing improves any more, 0 to 1.
        floor: Share of exploration on one that improves all the time, 0 to ``explore``.
        pace: Pace at which 1/e of the difference is left; above 0.
        exponent: As of `novelty`.

    Raises:
        ValueError: an option is outside its range.
    """
    at_least_zero(explore=explore, floor=floor)
    positive(pace=pace)
    if not floor <= explore <= 1:
        raise ValueError(f"explore is {explore}, must be from floor ({floor}) to 1")
    exploit, spread = greedy(), novelty(exponent=exponent)

    def select(state: State, rng: np.random.Generator) -> int:
        here = state.census.islands.get(state.island)
        current = 1.0 if here is None else here.pace
        share = floor + (explore - floor) * math.exp(-current / pace)
        return (spread if rng.random() < share else exploit)(state, rng)

    return select
