"""The seed program: the best of a thousand random draws."""

import itertools

import numpy as np


def place(n: int) -> np.ndarray:
    """Return ``n`` points in the triangle (0, 0), (1, 0), (1/2, sqrt(3)/2) as rows ``x, y``."""
    # EVOLVE-BLOCK-START
    rng = np.random.default_rng(0)
    i, j, k = np.array(list(itertools.combinations(range(n), 3))).T
    best, best_area = None, -1.0
    for _ in range(1000):
        points = rng.random((n, 2))
        points[points.sum(axis=1) > 1] = 1 - points[points.sum(axis=1) > 1]  # fold the square
        points = points @ np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])
        a, b = points[j] - points[i], points[k] - points[i]
        smallest = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).min()
        if smallest > best_area:
            best, best_area = points, smallest
    return best
    # EVOLVE-BLOCK-END
