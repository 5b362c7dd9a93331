"""Large sets without forbidden pairs or triples: caps, independent sets, admissible sets.

A set is read in the order given, and what is in conflict with elements taken before is left out, so
that every score is the size of a set that exists. All checks are exact.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import rows

Integers: TypeAlias = NDArray[np.int64]

#: Words a set may be chosen from, at most.
MAX_WORDS: Final = 20_000_000


class WordSet(Evaluator):
    """Base of what is asked of a set of words: the largest one without conflicts.

    Args:
        length: Of the words.
        letters: Whole numbers from 0 to below this.
        limit: Words that a program may return.
    """

    def __init__(self, length: int, letters: int, limit: int) -> None:
        if length < 1 or letters**length > MAX_WORDS:
            raise ValueError(f"there are {letters}^{length} words, must be 1 to {MAX_WORDS}")
        self._length, self._letters, self._limit = length, letters, limit

    @abstractmethod
    def inputs(self) -> Mapping[str, Value]:
        """Return what the program is called with."""

    @abstractmethod
    def kept(self, words: Integers) -> Integers:
        """Return the positions of the words that are taken, of the shape (n, length)."""

    def measures(self, words: Integers) -> Mapping[str, float]:
        """Describe the set."""
        return {"zero_share": float(np.mean(words == 0))}

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a set is its own proof."""
        if stage == "search":
            yield Case(self.inputs())

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Count the words that can stay together."""
        names = [f"x{k + 1}" for k in range(self._length)]
        highest = self._letters - 1
        table = rows(output, count=(1, self._limit), columns=names, low=0, high=highest, whole=True)
        words = np.array(table, dtype=np.int64)
        kept = self.kept(words)
        left_out = np.setdiff1d(np.arange(len(words)), kept)
        text = f"{len(kept)} words."
        if left_out.size:
            first = int(left_out[0])
            text += (
                f" {left_out.size} of {len(words)} were left out because they are in conflict with "
                f"words before them; the first is number {first}, {words[first].tolist()}."
            )
        return Score(
            objective=float(len(kept)),
            measures=self.measures(words[kept]),
            metrics={"given": float(len(words))},
            feedback=text,
        )

    def codes(self, words: Integers) -> Integers:
        """Return each word as a number in base ``letters``."""
        powers = self._letters ** np.arange(self._length)[::-1]
        return np.asarray(words @ powers, dtype=np.int64)


class CapSet(WordSet):
    """Maximise a set of vectors over the field with three elements without three on a line.

    x, y, z are on a line if x + y + z = 0, none of them equal.

    Args:
        n: Dimension.
    """

    def __init__(self, n: int = 8) -> None:
        super().__init__(n, 3, 3**n)

    def inputs(self) -> Mapping[str, Value]:
        """Return the dimension."""
        return {"n": self._length}

    def kept(self, words: Integers) -> Integers:
        """Leave out what is on a line with two words before, and repeated words."""
        blocked = np.zeros(3**self._length, dtype=bool)
        taken: list[int] = []
        for i, code in enumerate(self.codes(words)):
            if not blocked[code]:
                blocked[self.codes(-(words[taken] + words[i]) % 3)] = True
                blocked[code] = True
                taken.append(i)
        return np.array(taken)


class CycleIndependence(WordSet):
    """Maximise an independent set in the strong power of a cycle: Shannon's zero-error codes.

    Two different words are in conflict if in every place their letters are the same or neighbours
    on the cycle. A set of size s shows that the Shannon capacity of the cycle is at least
    s^(1/power).

    Args:
        cycle: Number of letters, at least 4.
        power: Length of the words.
    """

    def __init__(self, cycle: int = 7, power: int = 5) -> None:
        if cycle < 4:
            raise ValueError(f"cycle is {cycle}, must be at least 4")
        super().__init__(power, cycle, cycle**power)
        self._steps = np.array(list(itertools.product((-1, 0, 1), repeat=power)))

    def inputs(self) -> Mapping[str, Value]:
        """Return cycle and power."""
        return {"cycle": self._letters, "power": self._length}

    def kept(self, words: Integers) -> Integers:
        """Leave out words that are close to one before, and repeated words."""
        blocked = np.zeros(self._letters**self._length, dtype=bool)
        taken: list[int] = []
        for i, code in enumerate(self.codes(words)):
            if not blocked[code]:
                blocked[self.codes((words[i] + self._steps) % self._letters)] = True
                taken.append(i)
        return np.array(taken)


class AdmissibleSet(WordSet):
    """Maximise an admissible set of words of constant weight over 0, 1, 2.

    No two words have the same support, and every three have a place where their letters are
    {0, 1, 2}, {0, 0, 1} or {0, 0, 2} in some order. Edel, "Extensions of generalized product caps",
    Designs, Codes and Cryptography 31 (2004).

    Args:
        n: Length of the words.
        weight: How many letters of each are not zero.
    """

    def __init__(self, n: int = 12, weight: int = 7) -> None:
        if not 1 <= weight <= n <= 21:
            raise ValueError(f"n is {n} and weight {weight}, must be 1 <= weight <= n <= 21")
        super().__init__(n, 3, 2000)
        self._weight = weight

    def inputs(self) -> Mapping[str, Value]:
        """Return length and weight."""
        return {"n": self._length, "weight": self._weight}

    def measures(self, words: Integers) -> Mapping[str, float]:
        """Describe the set; the share of zeros is the same for all."""
        return {"twos_share": float(np.mean(words[words != 0] == 2))}

    def kept(self, words: Integers) -> Integers:
        """Leave out words with a known support, or that break the rule with two before.

        A word is a bit mask with one of three bits for each place. A pair has the mask of all
        letters that would complete a good place: a third word is good if the two masks meet.
        """
        wrong = np.flatnonzero((words != 0).sum(axis=1) != self._weight)
        if wrong.size:
            raise Invalid(f"row {wrong[0]} has not {self._weight} letters that are not zero")
        places = np.arange(self._length, dtype=np.uint64) * np.uint64(3)
        one = np.uint64(1)
        masks = (one << (places + words.astype(np.uint64))).sum(axis=1, dtype=np.uint64)
        supports = self.codes((words != 0).astype(np.int64))
        known: set[int] = set()
        taken: list[int] = []
        pairs: list[NDArray[np.uint64]] = []
        for i, support in enumerate(supports.tolist()):
            if support in known or any(bool((block & masks[i] == 0).any()) for block in pairs):
                continue
            completing = _COMPLETING[words[i], words[taken]].astype(np.uint64)
            pairs.append((completing << places).sum(axis=1, dtype=np.uint64))
            known.add(support)
            taken.append(i)
        return np.array(taken)


def _completing() -> Integers:
    """Return, for two letters, the bits of those that make a good place with them."""
    good = [(0, 1, 2), (0, 0, 1), (0, 0, 2)]
    return np.array(
        [
            [sum(1 << c for c in range(3) if tuple(sorted((a, b, c))) in good) for b in range(3)]
            for a in range(3)
        ]
    )


_COMPLETING: Final = _completing()
