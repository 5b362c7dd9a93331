"""Read what a program returned: numbers of one shape, or a refusal that says what is wrong.

Everything that is not exactly what was asked for is refused before anything is compared or
computed: NaN and infinities, booleans, texts, complex numbers, wrong counts and shapes, fractions
where whole numbers are due. Use it from `Evaluator.score`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from evolve.core.values import Value
from evolve.evaluate.evaluator import Invalid

#: A real number as it was returned: whole, or a finite double.
Number: TypeAlias = int | float

#: Larger ones are no doubles.
LARGEST = float(np.finfo(np.float64).max)
#: Longer numbers are not shown in full.
_DIGITS = 24


def numbers(
    output: Value,
    *,
    count: int | tuple[int, int],
    low: Number = -LARGEST,
    high: Number = LARGEST,
    whole: bool = False,
    name: str = "entry",
) -> list[Number]:
    """Read a flat list or one-dimensional array of real numbers.

    Args:
        output: What a program returned, or a part of it.
        count: How many there must be, or the least and the most.
        low: Smallest number allowed.
        high: Largest number allowed.
        whole: Whether only integers are allowed; 2.0 is none.
        name: What messages call one of them.

    Raises:
        Invalid: it is anything else; says which entry and why.
    """
    given = _list(output, count, (), "numbers")
    allowed = _Allowed(low, high, whole)
    return [allowed.read(value, name, i) for i, value in enumerate(given)]


def rows(
    output: Value,
    *,
    count: int | tuple[int, int],
    columns: Sequence[str],
    low: Number = -LARGEST,
    high: Number = LARGEST,
    whole: bool = False,
) -> list[list[Number]]:
    """Read a list of rows of real numbers, or a two-dimensional array.

    Args:
        output: What a program returned, or a part of it.
        count: How many rows there must be, or the least and the most.
        columns: What messages call the numbers of a row.
        low: Smallest number allowed.
        high: Largest number allowed.
        whole: Whether only integers are allowed; 2.0 is none.

    Raises:
        Invalid: it is anything else; says in which row and why.
    """
    given = _list(output, count, (len(columns),), f"rows of {len(columns)} numbers")
    allowed = _Allowed(low, high, whole)
    table: list[list[Number]] = []
    for i, row in enumerate(given):
        entries = zip(columns, _row(row, i, columns), strict=True)
        table.append([allowed.read(value, f"row {i}:", column) for column, value in entries])
    return table


def width(output: Value) -> int:
    """Return how many entries the first row has of what should be rows; 0 when it has none."""
    if isinstance(output, np.ndarray):
        return int(output.shape[1]) if output.ndim == 2 and len(output) else 0
    first = output[0] if isinstance(output, list | tuple) and output else None
    if isinstance(first, np.ndarray):
        return len(first) if first.ndim == 1 else 0
    return len(first) if isinstance(first, list | tuple) else 0


def permutation(output: Value, size: int, what: str = "entry") -> list[int]:
    """Read a list or array that names each of ``range(size)`` exactly once.

    Args:
        output: Anything.
        size: How many there are.
        what: What messages call one of them.

    Raises:
        Invalid: it does not.
    """
    order = [int(each) for each in numbers(output, count=size, low=0, high=size - 1, whole=True)]
    seen = [False] * size
    for place, index in enumerate(order):
        if seen[index]:
            raise Invalid(f"entry {place}: {what} {index} comes twice")
        seen[index] = True
    return order


def rounded_down(value: Fraction) -> float:
    """Return the largest double that is not above ``value``; -infinity below all of them."""
    try:
        nearest = float(value)
    except OverflowError:
        return LARGEST if value > 0 else -math.inf
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)


def rounded_up(value: Fraction) -> float:
    """Return the smallest double that is not below ``value``."""
    return -rounded_down(-value)


def root(value: Fraction, bits: int = 128) -> Fraction:
    """Return the square root of ``value``, not negative, rounded down to ``bits`` binary digits."""
    return Fraction(math.isqrt((value.numerator << 2 * bits) // value.denominator), 1 << bits)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The numbers that are good."""

    low: Number
    high: Number
    whole: bool

    def read(self, value: object, *name: object) -> Number:
        """Return a number, or refuse it under its name."""
        number = type(value) is int or (type(value) is float and not self.whole)
        if number and self.low <= value <= self.high:  # type: ignore[operator]  # NaN is in no range
            return value  # type: ignore[return-value]  # its type was checked
        where = " ".join(map(str, name))
        if not number:
            wanted = "a whole number" if self.whole else "a real number"
            raise Invalid(f"{where} is a {type(value).__name__}, must be {wanted}")
        huge = isinstance(value, int) and abs(value) >= 10**_DIGITS
        shown = "a huge number" if huge else value
        bounded = (self.low, self.high) != (-LARGEST, LARGEST)
        limits = f"between {self.low:g} and {self.high:g}" if bounded else "finite"
        raise Invalid(f"{where} is {shown}, must be {limits}")


def _list(
    output: Value, count: int | tuple[int, int], shape: tuple[int, ...], what: str
) -> list[object]:
    """Return so many entries of a list, or of an array whose entries have a shape."""
    least, most = (count, count) if isinstance(count, int) else count
    amount = f"{count}" if isinstance(count, int) else f"{least} to {most}"
    if isinstance(output, np.ndarray):
        if output.ndim != 1 + len(shape) or output.shape[1:] != shape:
            raise Invalid(f"wanted {amount} {what}, not an array of shape {output.shape}")
        if output.dtype.kind not in "iuf":
            raise Invalid(f"wanted {amount} {what}, not an array of {output.dtype}")
    elif not isinstance(output, list | tuple):
        raise Invalid(f"wanted {amount} {what}, not a {type(output).__name__}")
    if not least <= len(output) <= most:
        raise Invalid(f"there are {len(output)} {what.split(maxsplit=1)[0]}, must be {amount}")
    return list(output.tolist() if isinstance(output, np.ndarray) else output)


def _row(row: object, i: int, columns: Sequence[str]) -> list[object]:
    """Return the entries of a row."""
    if isinstance(row, np.ndarray) and row.ndim == 1 and row.dtype.kind in "iuf":
        row = row.tolist()
    if not isinstance(row, list | tuple) or len(row) != len(columns):
        what = f"{len(row)} entries" if isinstance(row, list | tuple) else type(row).__name__
        raise Invalid(f"row {i} must be {len(columns)} numbers {', '.join(columns)}, not {what}")
    return list(row)
