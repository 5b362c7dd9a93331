"""The seed program: the best of a thousand random draws."""

import itertools

import numpy as np


def place(n: int) -> np.ndarray:
    """Return ``n`` points in the plane as rows ``x, y``."""
    # EVOLVE-BLOCK-START
    rng = np.random.default_rng(0)
    i, j, k = np.array(list(itertools.combinations(range(n), 3))).T
    best, best_area = None, -1.0
    for _ in range(1000):
        points = rng.random((n, 2))
        a, b = points[j] - points[i], points[k] - points[i]
        smallest = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).min()
        if smallest > best_area:
            best, best_area = points, smallest
    return best
    # EVOLVE-BLOCK-END
