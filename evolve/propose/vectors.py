"""Embeddings of a run's programs: paid for once, kept, and searched for the nearest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Programs that a candidate is compared with: those of its prompt, of its island, or of the run.
Among: TypeAlias = Literal["shown", "island", "run"]
Vector: TypeAlias = NDArray[np.float32]


@dataclass(slots=True)
class _Rows:
    """Unit vectors of one model in the order in which they became known, in a growing array."""

    vectors: Vector = field(default_factory=lambda: np.empty((0, 0), np.float32))
    islands: list[int] = field(default_factory=list)
    of_text: dict[str, int] = field(default_factory=dict)

    def add(self, key: str, vector: Vector, island: int) -> None:
        row = len(self.islands)
        if row == len(self.vectors):
            grown = np.empty((max(64, 2 * row), len(vector)), np.float32)
            if row:
                grown[:row] = self.vectors
            self.vectors = grown
        self.vectors[row] = vector
        self.islands.append(island)
        self.of_text[key] = row


class VectorIndex:
    """All embeddings that a run has learnt of. The same facts in the same order make the same one.

    It takes 4 bytes for each dimension of each vector.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Rows] = {}

    def add(self, model: str, text: str, vector: Sequence[float], island: int) -> None:
        """Take in the embedding of a text; one that is known already, or has no length, is not."""
        rows, key = self._rows.setdefault(model, _Rows()), _key(text)
        unit = normalised(vector)
        fits = not rows.islands or len(unit) == rows.vectors.shape[1]
        if key not in rows.of_text and unit.any() and fits:
            rows.add(key, unit, island)

    def view(self, island: int) -> VectorView:
        """Return what is known now, as seen from an island; what comes later does not change it."""
        return VectorView(
            {name: (rows, len(rows.islands)) for name, rows in self._rows.items()}, island
        )


class VectorView:
    """The embeddings that one proposal may depend on, and those that it paid for itself."""

    def __init__(self, rows: dict[str, tuple[_Rows, int]], island: int) -> None:
        self._rows, self._island = rows, island
        self._own: dict[tuple[str, str], Vector] = {}

    def remember(self, model: str, text: str, vector: Sequence[float]) -> None:
        """Keep an embedding for the rest of the proposal."""
        self._own[model, _key(text)] = normalised(vector)

    def vector(self, model: str, text: str) -> Vector | None:
        """Return the unit vector of a text, if it is known."""
        key = _key(text)
        rows, known = self._rows.get(model, (_Rows(), 0))
        row = rows.of_text.get(key, known)
        return rows.vectors[row] if row < known else self._own.get((model, key))

    def nearest(self, model: str, vector: Vector, among: Among) -> float:
        """Return the largest cosine similarity to a known program; -1 where there is none."""
        rows, known = self._rows.get(model, (_Rows(), 0))
        if among == "shown" or not known or rows.vectors.shape[1] != len(vector):
            return -1.0
        found = rows.vectors[:known] @ vector
        if among == "island":
            found = found[np.array(rows.islands[:known]) == self._island]
        return float(found.max(initial=-1.0))


def normalised(vector: Sequence[float] | NDArray[np.float64]) -> Vector:
    """Return a vector with length 1; one of length 0 as it is."""
    found = np.asarray(vector, np.float64)
    length = np.linalg.norm(found)
    return (found / length if length else found).astype(np.float32)


def _key(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()
