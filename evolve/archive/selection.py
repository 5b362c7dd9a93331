"""Who becomes a parent, and which other elites a proposal sees.

A selector is a function of the archive's contents and a generator: the same elites and the same
generator state give the same choice, whatever the order the elites came in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Archive, Elite


class Selector(Protocol):
    """Chooses a parent."""

    def __call__(self, archive: Archive, rng: np.random.Generator, /) -> Elite:
        """Return an elite of ``archive``, which holds at least one.

        Raises:
            ValueError: the archive is empty.
        """
        ...


def uniform() -> Selector:
    """Return a selector that takes every occupied cell with equal probability."""

    def select(archive: Archive, rng: np.random.Generator) -> Elite:
        elites = _elites(archive)
        return elites[int(rng.integers(len(elites)))]

    return select


def rank(*, exponent: float = 1.0) -> Selector:
    """Return a selector that prefers the fit: rank r is taken in proportion to r ** -exponent.

    Args:
        exponent: At least 0; 0 is uniform, and the larger, the greedier.

    Raises:
        ValueError: the exponent is negative, NaN or infinite.
    """
    if not (math.isfinite(exponent) and exponent >= 0):
        raise ValueError(f"exponent is {exponent}, must be finite and at least 0")

    def select(archive: Archive, rng: np.random.Generator) -> Elite:
        elites = _elites(archive)
        return elites[_draw(np.arange(1.0, len(elites) + 1) ** -exponent, rng)]

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
    if not (np.isfinite(frequencies).all() and frequencies.min() >= 0 and frequencies.any()):
        raise ValueError(
            f"best {best}, ranked {ranked} and explore {explore} must be finite, at least 0, "
            "and not all 0"
        )
    selectors = (_select_best, rank(exponent=exponent), uniform())

    def select(archive: Archive, rng: np.random.Generator) -> Elite:
        return selectors[_draw(frequencies, rng)](archive, rng)

    return select


#: The selectors that a configuration can name; options are keyword arguments.
SELECTORS: Mapping[str, Callable[..., Selector]] = MappingProxyType(
    {"uniform": uniform, "rank": rank, "mixed": mixed}
)


def inspirations(
    archive: Archive, parent: Elite, count: int, rng: np.random.Generator
) -> list[Elite]:
    """Return elites of other cells to show beside a parent: the fittest, and diverse ones.

    Half of them, rounded up, are the fittest. Each of the rest is drawn in proportion to the
    square of its distance to the nearest one shown so far, the parent included: the seeding of
    k-means++ (Arthur and Vassilvitskii, 2007), which spreads them over the map.

    Args:
        archive: Where they come from.
        parent: Nothing of its cell is returned.
        count: How many are wanted; fewer come when the archive holds fewer.
        rng: Draws the diverse ones.

    Returns:
        Distinct elites, fittest first.
    """
    elites = archive.champions()
    positions = archive.centers([elite.cell for elite in elites])
    fittest = -(-count // 2)
    chosen = [i for i, e in enumerate(elites[: fittest + 1]) if e.cell != parent.cell][:fittest]
    gaps = _squared_distances(positions, archive.centers(parent.cell))
    for index in chosen:
        gaps = np.minimum(gaps, _squared_distances(positions, positions[index]))
    # Distinct elites have distinct cells, so a gap is zero exactly where nothing may be drawn.
    while len(chosen) < count and gaps.any():
        index = _draw(gaps, rng)
        chosen.append(index)
        gaps = np.minimum(gaps, _squared_distances(positions, positions[index]))
    return [elites[index] for index in sorted(chosen)]


def _elites(archive: Archive) -> list[Elite]:
    elites = archive.elites()
    if not elites:
        raise ValueError("the archive is empty, there is nothing to select")
    return elites


def _select_best(archive: Archive, rng: np.random.Generator) -> Elite:  # noqa: ARG001 - a Selector
    return _elites(archive)[0]


def _draw(weights: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Return an index with probability in proportion to its weight."""
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def _squared_distances(
    positions: NDArray[np.float64], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.square(positions - center).sum(axis=-1)
    return squares
