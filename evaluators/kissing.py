"""Kissing configurations: vectors at least 60 degrees apart, in exact integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import rows, width

#: Python integers of any size, or 64-bit ones where nothing can overflow.
Integers: TypeAlias = NDArray[Any]

MAX_VECTORS: Final = 1000
LARGEST: Final = 10**30


class Kissing(Evaluator):
    """Maximise how many spheres touch one of the same size, in a space of some dimension.

    A program returns vectors to the centres; each is scaled to the right length by itself, so that
    whole coordinates are enough, or numbers p + q sqrt(2) with p and q whole. Two spheres are
    disjoint if the angle between their vectors is at least 60 degrees, that is
    <x, y> <= 0 or 4 <x, y>^2 <= <x, x> <y, y>, which is decided without rounding. Vectors are taken
    in the given order, and one that is too close to one taken before is left out.

    Args:
        dimension: Of the space, at least 2.
    """

    def __init__(self, dimension: int = 11) -> None:
        if dimension < 2:
            raise ValueError(f"dimension is {dimension}, must be at least 2")
        self._dimension = dimension

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a configuration is its own proof."""
        if stage == "search":
            yield Case({"dimension": self._dimension})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Count the vectors that can stay."""
        given = _vectors(output, self._dimension)
        products = Products(given)
        too_close = products.sign > 0
        kept: list[int] = []
        free = np.ones(len(too_close), dtype=bool)
        for i in range(len(too_close)):
            if free[i]:
                kept.append(i)
                free &= ~too_close[i]
        contacts = (products.sign[np.ix_(kept, kept)] == 0).sum(axis=1)
        norms = {products.norm(i) for i in kept}
        bad = int(too_close.sum()) // 2
        text = (
            f"{len(kept)} of {len(too_close)} vectors have pairwise angles of at least 60 degrees."
        )
        if bad:
            i, j = (int(k) for k in np.argwhere(too_close)[0])
            text += f" {bad} pairs are too close, the first vectors {i} and {j}."
        return Score(
            objective=float(len(kept)),
            measures={"contacts": float(contacts.mean()), "lengths": float(len(norms))},
            metrics={"given": float(len(too_close))},
            feedback=f"{text} On average one touches {contacts.mean():.1f} others.",
        )


class Products:
    """Inner products of vectors over Z[sqrt(2)], and which pairs are less than 60 degrees apart.

    Args:
        vectors: Shape (n, d, 2): coordinates p + q sqrt(2) as p and q.

    Attributes:
        sign: For each pair, shape (n, n): 1 when the angle is smaller than 60 degrees, 0 when it is
            60 degrees exactly, -1 when it is larger, and -1 on the diagonal.
    """

    def __init__(self, vectors: Integers) -> None:
        p, q = vectors[:, :, 0], vectors[:, :, 1]
        a, b = p @ p.T, np.zeros_like(p @ p.T)
        if q.any():
            mixed = p @ q.T
            a, b = a + 2 * (q @ q.T), mixed + mixed.T
        self._a, self._b = a, b
        lengths_a, lengths_b = a.diagonal(), b.diagonal()
        # 4 <x, y>^2 - <x, x> <y, y>
        square_a = 4 * (a * a + 2 * b * b) - (
            np.multiply.outer(lengths_a, lengths_a) + 2 * np.multiply.outer(lengths_b, lengths_b)
        )
        square_b = 8 * a * b - (
            np.multiply.outer(lengths_a, lengths_b) + np.multiply.outer(lengths_b, lengths_a)
        )
        acute = _sign(a, b) > 0
        self.sign = np.where(acute, _sign(square_a, square_b), -1)
        np.fill_diagonal(self.sign, -1)

    def norm(self, i: int) -> tuple[int, int]:
        """Return the squared length of a vector, as p and q of p + q sqrt(2)."""
        return int(self._a[i, i]), int(self._b[i, i])


def _sign(a: Integers, b: Integers) -> NDArray[np.int64]:
    """Return the signs of a + b sqrt(2): where the two disagree, the larger square decides."""
    of_a, of_b = (np.asarray(np.sign(x), dtype=np.int64) for x in (a, b))
    squares = np.asarray(np.sign(a * a - 2 * b * b), dtype=np.int64)
    return np.where(of_a * of_b >= 0, np.sign(of_a + of_b), of_a * squares)


def _vectors(output: Value, dimension: int) -> Integers:
    """Read rows of ``dimension`` whole coordinates, or of twice as many: p and q of each.

    Returns:
        Shape (n, d, 2); 64-bit integers if no product can overflow, else Python's.

    Raises:
        Invalid: ``output`` is anything else, or a vector is zero.
    """
    names = [f"x{k + 1}" for k in range(dimension)]
    over_root2 = width(output) == 2 * dimension
    if over_root2:
        names = [part + name for name in names for part in "pq"]
    table = rows(
        output, count=(1, MAX_VECTORS), columns=names, low=-LARGEST, high=LARGEST, whole=True
    )
    for i, row in enumerate(table):
        if not any(row):
            raise Invalid(f"vector {i} is zero")
    largest = max(abs(int(value)) for row in table for value in row)
    # The largest number on the way is a difference of squares of 4 <x, y>^2 - <x, x> <y, y>.
    small = 3 * (150 * dimension**2 * largest**4) ** 2 < 2**62
    vectors = np.array(table, dtype=np.int64 if small else object)
    if over_root2:
        return vectors.reshape(len(table), dimension, 2)
    return np.stack([vectors, np.zeros_like(vectors)], axis=2)
