"""Bilinear algorithms for multiplying matrices: rank decompositions, verified in exact integers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import Number, rows, width

Integers: TypeAlias = NDArray[np.int64]

#: Entries are half-integers, or a + b i of such, with parts at most this large.
LARGEST: Final = 64.0


class MatrixMultiplication(Evaluator):
    """Minimise the number of multiplications that products of small matrices take.

    For the product of an n x m and an m x p matrix a program returns three matrices U, V, W with r
    columns and n m, m p, p n rows, such that for all indices

        sum over s of U[i m + j, s] V[j' p + k, s] W[k' n + i', s]
            = 1 if i = i', j = j' and k = k', else 0,

    which is an algorithm with r multiplications that also works for blocks. Entries are multiples
    of 1/2, or a + b i with such parts in complex arrays; that the equations hold is decided in
    integers. The objective is the mean, over sizes, of r over the best rank known.

    Args:
        sizes: The best rank known for each size, such as ``{"3x3x3": 23}``, for the search.
        held_out: The same for sizes that selection never sees.
    """

    def __init__(self, sizes: Mapping[str, int], held_out: Mapping[str, int] | None = None) -> None:
        self._sizes: Mapping[Stage, Mapping[str, int]] = {
            "search": sizes,
            "held_out": held_out or {},
        }
        for name in [*sizes, *(held_out or {})]:
            if len(_size(name)) != 3:
                raise ValueError(f"'{name}' is no size; write it as 3x4x5")

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case for each size."""
        for name, rank in self._sizes[stage].items():
            n, m, p = _size(name)
            yield Case({"n": n, "m": m, "p": p}, name=name, secret=rank)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Verify the algorithm and count its multiplications."""
        n, m, p = _size(case.name)
        factors = _factors(output, (n * m, m * p, p * n))
        error = _wrong_equations(factors, n, m, p)
        if error:
            raise Invalid(error)
        rank = factors[0].shape[2]
        best = case.secret
        assert isinstance(best, int)
        entries = np.concatenate([factor.reshape(2, -1) for factor in factors], axis=1)
        kind = "Gaussian" if entries[1].any() else "half" if (entries % 2).any() else "whole"
        return Score(
            objective=float(Fraction(rank, best)),
            measures={
                "nonzero_share": float(np.mean(entries.any(axis=0))),
                "fractional_share": float(np.mean((entries % 2).any(axis=0))),
            },
            metrics={f"rank_{case.name}": float(rank)},
            feedback=f"{rank} multiplications instead of {n * m * p}, best known {best}; "
            f"{kind} entries.",
        )


def _size(name: str) -> tuple[int, ...]:
    parts = name.split("x")
    return tuple(int(part) for part in parts if part.isdigit() and 0 < int(part) < 10)


def _wrong_equations(factors: Sequence[Integers], n: int, m: int, p: int) -> str:
    """Say which of the equations do not hold; nothing when all do.

    Args:
        factors: Twice U, V and W, each of shape (2, rows, r): real and imaginary parts.
        n: Rows of the first matrix.
        m: Columns of the first matrix.
        p: Columns of the second matrix.
    """
    (ur, ui), (vr, vi), (wr, wi) = factors
    # Products of two, then of three; all are whole numbers, 8 for a 1.
    uv_real = np.einsum("ar,br->abr", ur, vr) - np.einsum("ar,br->abr", ui, vi)
    uv_imaginary = np.einsum("ar,br->abr", ur, vi) + np.einsum("ar,br->abr", ui, vr)
    real = uv_real @ wr.T - uv_imaginary @ wi.T
    imaginary = uv_real @ wi.T + uv_imaginary @ wr.T
    eye = [np.eye(k, dtype=np.int64) for k in (n, m, p)]
    wanted = 8 * np.einsum("ax,by,cz->abyczx", *eye).reshape(n * m, m * p, p * n)
    wrong = (real != wanted) | (imaginary != 0)
    if not wrong.any():
        return ""
    a, b, c = (int(k) for k in np.argwhere(wrong)[0])
    residual = math.sqrt(float((((real - wanted) / 8.0) ** 2 + (imaginary / 8.0) ** 2).sum()))
    return (
        f"{int(wrong.sum())} of {wrong.size} equations do not hold, the first for row {a} of U, "
        f"{b} of V and {c} of W: the sum is {real[a, b, c] / 8:g}{imaginary[a, b, c] / 8:+g}i "
        f"instead of {wanted[a, b, c] // 8}; the norm of all errors is {residual:.6g}"
    )


def _factors(output: Value, counts: tuple[int, int, int]) -> list[Integers]:
    """Read U, V and W, doubled: for each an array of shape (2, rows, r).

    Raises:
        Invalid: ``output`` is anything else, or an entry is no multiple of a half.
    """
    if isinstance(output, np.ndarray) and output.ndim == 3:
        output = list(output)
    if not isinstance(output, list | tuple) or len(output) != 3:
        raise Invalid(f"wanted the three matrices U, V, W, not {_kind(output)}")
    factors = [
        _doubled(matrix, count, name)
        for matrix, count, name in zip(output, counts, "UVW", strict=True)
    ]
    ranks = [factor.shape[2] for factor in factors]
    if len(set(ranks)) > 1:
        raise Invalid(f"U, V and W have {ranks} columns, must have equally many")
    return factors


def _doubled(matrix: Value, count: int, name: str) -> Integers:
    """Read one matrix, real or complex."""
    parts = (
        [matrix.real, matrix.imag]
        if isinstance(matrix, np.ndarray) and matrix.dtype.kind == "c"
        else [matrix]
    )
    tables = [_real(part, count, name) for part in parts]
    doubled = [[[2 * value for value in row] for row in table] for table in tables]
    for table in doubled:
        for i, row in enumerate(table):
            for j, value in enumerate(row):
                if value != int(value):
                    raise Invalid(
                        f"{name}[{i}, {j}] is {value / 2:.12g}, must be a multiple of 1/2: round it"
                    )
    real = np.array(doubled[0], dtype=np.int64)
    imaginary = np.array(doubled[1], dtype=np.int64) if len(doubled) == 2 else np.zeros_like(real)
    return np.stack([real, imaginary])


def _real(matrix: Value, count: int, name: str) -> list[list[Number]]:
    columns = width(matrix)
    if not 1 <= columns <= 1000:
        raise Invalid(f"{name} must be {count} rows of 1 to 1000 numbers")
    try:
        return rows(
            matrix,
            count=count,
            columns=[str(k) for k in range(columns)],
            low=-LARGEST,
            high=LARGEST,
        )
    except Invalid as error:
        raise Invalid(f"{name}: {error}") from None


def _kind(output: Value) -> str:
    if isinstance(output, list | tuple):
        return f"{len(output)} things"
    if isinstance(output, np.ndarray):
        return f"an array of shape {output.shape}"
    return f"a {type(output).__name__}"
