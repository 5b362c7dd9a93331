"""Which other elites a proposal sees beside its parent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Archive, Elite
from evolve.archive.selection.base import at_least_zero, draw


@dataclass(frozen=True, slots=True)
class Mix:
    """Relative numbers of the kinds of inspirations.

    Attributes:
        top: The fittest of all.
        diverse: Drawn far from the parent and from each other, see `inspirations`.
        near: The nearest to the parent.

    Raises:
        ValueError: a number is negative or not finite, or all are 0.
    """

    top: float = 1.0
    diverse: float = 1.0
    near: float = 0.0

    def __post_init__(self) -> None:
        at_least_zero(top=self.top, diverse=self.diverse, near=self.near)
        if not (self.top or self.diverse or self.near):
            raise ValueError("top, diverse and near are all 0, one must not be")

    def shares(self, count: int) -> tuple[int, int, int]:
        """Return how many of ``count`` are top, diverse and near; halves go to the first named."""
        weights = np.array([self.top, self.diverse, self.near])
        ideal = count * weights / weights.sum()
        whole = np.floor(ideal + 1e-9).astype(int)
        for index in np.argsort(whole - ideal, kind="stable")[: count - int(whole.sum())]:
            whole[index] += 1
        return int(whole[0]), int(whole[1]), int(whole[2])


EVEN = Mix()


def inspirations(
    archive: Archive, parent: Elite, count: int, rng: np.random.Generator, mix: Mix = EVEN
) -> list[Elite]:
    """Return elites of other cells to show beside a parent: fittest, near and diverse ones.

    Each diverse one is drawn in proportion to the square of its distance to the nearest one shown
    so far, the parent included: the seeding of k-means++ (Arthur and Vassilvitskii, 2007), which
    spreads them over the map.

    Args:
        archive: Where they come from.
        parent: Nothing of its cell is returned; ``cell`` is -1 when it is in none.
        count: How many are wanted; fewer come when the archive holds fewer.
        rng: Draws the diverse ones.
        mix: How many of which kind.

    Returns:
        Distinct elites, fittest first.
    """
    elites = archive.champions()
    positions = archive.centers([elite.cell for elite in elites])
    here = archive.centers(parent.cell) if parent.cell >= 0 else _position(archive, parent)
    gaps = _squared_distances(positions, here)
    top, diverse, near = mix.shares(count)
    others = [i for i, e in enumerate(elites) if e.cell != parent.cell and e.key != parent.key]
    chosen = others[:top]
    left = [i for i in others if i not in chosen]
    chosen += sorted(left, key=lambda i: (gaps[i], i))[:near]
    for index in chosen:
        gaps = np.minimum(gaps, _squared_distances(positions, positions[index]))
    # Distinct champions have distinct cells, so a gap is zero exactly where nothing may be drawn.
    while len(chosen) < top + near + diverse and gaps.any():
        index = draw(gaps, rng)
        chosen.append(index)
        gaps = np.minimum(gaps, _squared_distances(positions, positions[index]))
    return [elites[index] for index in sorted(set(chosen) & set(others))]


def _position(archive: Archive, elite: Elite) -> NDArray[np.float64]:
    """Return where an elite lies in the unit cube, by its measures."""
    places = zip(archive.measures, elite.measures, strict=True)
    return np.array([measure.fraction(value) for measure, value in places])


def _squared_distances(
    positions: NDArray[np.float64], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.square(positions - center).sum(axis=-1)
    return squares
