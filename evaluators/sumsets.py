"""Sets of whole numbers whose sums or differences are counted exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import numbers, rounded_up

Integers: TypeAlias = NDArray[np.int64]

MAX_ELEMENTS: Final = 60_000
MAX_BASE: Final = 2000
LARGEST: Final = 10**9
#: Sums in an interval of this length are marked at a time.
CHUNK: Final = 1 << 26


class SumsAndDifferences(Evaluator):
    """Maximise 1 + log(|U - U| / |U + U|) / log(2 max U + 1) over sets of whole numbers.

    Every set gives a lower bound for the exponent theta in Gyarmati, Hennecart and Ruzsa, "Sums and
    differences of finite sets", Functiones et Approximatio 37 (2007). Sums and differences are
    counted exactly, by marking them.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a set is its own proof."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Count sums and differences."""
        given = _set(output, MAX_ELEMENTS)
        elements = given - given[0]
        sums, differences = count_sums(elements), 2 * count_sums(elements, -1) + 1
        largest = int(elements[-1])
        bound = 1 + math.log(differences / sums) / math.log(2 * largest + 1)
        return Score(
            objective=bound,
            measures={
                "log2_size": math.log2(len(elements)),
                "density": math.log(len(elements)) / math.log(largest + 1),
            },
            metrics={"sums": float(sums), "differences": float(differences)},
            feedback=f"Bound {bound:.10f}: {len(elements)} numbers up to {largest} have {sums} "
            f"sums and {differences} differences.",
        )


class DifferenceBase(Evaluator):
    """Minimise |B|^2 / v over sets B of whole numbers with all of 1, ..., v among differences.

    Erdős and Gál, "On the representation of 1, 2, ..., N by differences", Indagationes Mathematicae
    10 (1948). The evaluator finds v.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a set is its own proof."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Find v."""
        base = _set(output, MAX_BASE)
        differences = np.unique(np.subtract.outer(base, base))
        positive = differences[differences > 0]
        missing = np.flatnonzero(positive != np.arange(1, len(positive) + 1))
        reach = int(missing[0]) if missing.size else len(positive)
        if reach == 0:
            raise Invalid("1 is not among the differences")
        ratio = Fraction(len(base) ** 2, reach)
        gaps = np.unique(np.diff(base))
        return Score(
            objective=rounded_up(ratio),
            measures={
                "log2_size": math.log2(len(base)),
                "distinct_gaps": len(gaps) / (len(base) - 1),
            },
            metrics={"reach": float(reach)},
            feedback=f"Ratio {float(ratio):.9f}: {len(base)} numbers have all differences up to "
            f"{reach}, and {len(positive) - reach} of {int(base[-1] - base[0]) - reach} beyond.",
        )


def count_sums(elements: Integers, sign: int = 1) -> int:
    """Return how many numbers are a sum of two elements, or a positive difference (sign -1).

    Args:
        elements: Increasing.
        sign: 1 or -1.
    """
    total = 0
    addends = sign * elements
    end = 2 * int(elements[-1]) if sign > 0 else int(elements[-1])
    for low in range(0 if sign > 0 else 1, end + 1, CHUNK):
        marked = np.zeros(CHUNK, dtype=bool)
        first = np.searchsorted(elements, low - addends)
        last = np.searchsorted(elements, low + CHUNK - addends)
        # a + b = b + a: pairs with the first at or before the second are enough.
        first = np.maximum(first, np.arange(len(elements)))
        for i in np.flatnonzero(first < last):
            marked[elements[first[i] : last[i]] + (addends[i] - low)] = True
        total += int(np.count_nonzero(marked))
    return total


def _set(output: Value, most: int) -> Integers:
    """Read between 2 and so many different whole numbers, and sort them.

    Raises:
        Invalid: ``output`` is anything else.
    """
    given = numbers(output, count=(2, most), low=0, high=LARGEST, whole=True, name="number")
    elements = np.unique(np.array(given, dtype=np.int64))
    if len(elements) < 2:
        raise Invalid("all numbers are the same")
    return elements
