"""The seam of selection: what a selector sees, and the draws that selectors share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.archive.base import Archive, Elite
from evolve.archive.census import FITTEST, Census, Member


@dataclass(frozen=True, slots=True)
class Profile:
    """Numbers of one program that are looked up when a selector asks for them.

    Attributes:
        cases: Fitness on each case that has a score, by the case's name.
        length: Characters of its sources.
    """

    cases: Mapping[str, float] = field(default_factory=dict)
    length: int = 0


def no_profile(key: int) -> Profile:
    """Return what is known of a program where nothing but archive and history is."""
    del key
    return Profile()


@dataclass(frozen=True, slots=True)
class State:
    """What a selector may look at, and must not change.

    Attributes:
        archive: The archive of the island that is to have a child.
        census: What the search has seen so far.
        island: Its number.
        busy: Proposals under way, by parent.
        profile: Looks up a program's numbers, by key.
    """

    archive: Archive
    census: Census = field(default_factory=Census)
    island: int = 0
    busy: Mapping[int, int] = field(default_factory=dict)
    profile: Callable[[int], Profile] = no_profile

    def elites(self) -> list[Elite]:
        """Return the archive's elites, fittest first.

        Raises:
            ValueError: there are none.
        """
        elites = self.archive.elites()
        if not elites:
            raise ValueError("the archive is empty, there is nothing to select")
        return elites

    def members(self, among: int) -> list[Member]:
        """Return so many of the island's fittest programs, elites or not; its elites for 0.

        Raises:
            ValueError: there are none.
        """
        here = self.census.islands.get(self.island)
        found = here.fittest(among) if here is not None and among else []
        return found or [Member(elite.key, elite.fitness) for elite in self.elites()]

    def tried(self, key: int) -> int:
        """Return how often a program was tried: children, proposals in vain or under way."""
        return self.census.offspring.get(key, 0) + self.busy.get(key, 0)


class Selector(Protocol):
    """Chooses a parent: a function of the state and a generator, with no memory of its own.

    The same state and the same state of the generator give the same choice, whatever the order in
    which elites entered the archive.
    """

    def __call__(self, state: State, rng: np.random.Generator, /) -> int:
        """Return the key of an evaluated program, in most cases an elite of ``state.archive``.

        Raises:
            ValueError: the archive is empty.
        """
        ...


def draw(weights: ArrayLike, rng: np.random.Generator) -> int:
    """Return an index with probability in proportion to its weight; some weight is positive."""
    values = np.asarray(weights, dtype=float)
    return int(rng.choice(len(values), p=values / values.sum()))


def take(
    elites: Sequence[Elite] | Sequence[Member], weights: ArrayLike, rng: np.random.Generator
) -> int:
    """Return the key of an elite, or another program, drawn in proportion to its weight."""
    return elites[draw(weights, rng)].key


def softmax(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return weights in proportion to ``exp(logits / temperature)``, the largest of them 1."""
    values = np.asarray(logits, dtype=float)
    weights: NDArray[np.float64] = np.exp((values - values.max()) / temperature)
    return weights


def standardized(fitness: ArrayLike) -> NDArray[np.float64]:
    """Return fitness in median absolute deviations above the median.

    So neither its unit nor its zero matters, and a few very bad programs do not hide how the others
    differ. Where more than half are equal the mean deviation takes the place of the median one; all
    are 0 where all are equal.
    """
    values = np.asarray(fitness, dtype=float)
    deviations = values - np.median(values)
    scale = float(np.median(np.abs(deviations))) or float(np.mean(np.abs(deviations)))
    scaled: NDArray[np.float64] = deviations / scale if scale > 0 else np.zeros_like(deviations)
    return scaled


def positive(**options: float) -> None:
    """Check options of a selector.

    Raises:
        ValueError: one is not finite, or not above 0.
    """
    for name, value in options.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}, must be finite and above 0")


def at_least_zero(**options: float) -> None:
    """Check options of a selector.

    Raises:
        ValueError: one is not finite, or negative.
    """
    for name, value in options.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}, must be finite and at least 0")


def at_most_kept(among: int) -> None:
    """Check how many programs a selector wants to choose among.

    Raises:
        ValueError: it is negative, or more than are known.
    """
    if not 0 <= among <= FITTEST:
        raise ValueError(f"among is {among}, must be 0 (the elites) to {FITTEST}")
