"""The seed program: one double root, the best of a coarse grid."""

from fractions import Fraction

import numpy as np


def last_sign_change(roots: list[float]) -> float:
    """Return, roughly, the last sign change of the function with these double roots.

    The score is this over 2 pi, computed exactly. Good for up to about six roots.
    """
    places = [Fraction(round(root * 10**6), 10**6) for root in roots]
    squares = [Fraction(1)]
    for place in [*places, *places]:
        squares = [a - place * b for a, b in zip([0, *squares], [*squares, 0], strict=True)]
    degree = 4 * len(places) + 2
    weight = [Fraction(1)]
    for k in range(1, degree + 1):
        weight.append(weight[-1] * (2 * k - 1) / 2)
    # g = x q(x) prod (x - z)^2; with h_k = g_k weight_k, h(1 + t) must be even: solve for q.
    columns = []
    for power in range(1, 2 * len(places) + 3):
        h = [a * w for a, w in zip([0] * power + squares, weight, strict=False)]
        h += [Fraction(0)] * (degree + 1 - len(h))
        for start in range(degree):
            for k in range(degree - 1, start - 1, -1):
                h[k] += h[k + 1]
        columns.append(h[1::2])
    rows = [list(row) for row in zip(*columns, strict=True)]
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k] != 0), None)
        if pivot is None:
            return float("inf")
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(len(rows)):
            if i != k and rows[i][k] != 0:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    q = [-row[-1] / row[k] for k, row in enumerate(rows)] + [Fraction(1)]
    found = np.roots([float(a) for a in reversed(q)])
    real = found.real[(abs(found.imag) < 1e-7 * abs(found)) & (found.real > 0)]
    return float(real.max()) if real.size else float("inf")


def construct() -> list[float]:
    """Return the places of the double roots."""
    # EVOLVE-BLOCK-START
    grid = np.linspace(4.0, 6.0, 21)
    return [float(min(grid, key=lambda root: last_sign_change([root])))]
    # EVOLVE-BLOCK-END
