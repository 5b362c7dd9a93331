import time

import numpy as np


def nearest(points, i):
    """Return the squared distance from point ``i`` to the nearest other one."""
    squares = ((points - points[i]) ** 2).sum(axis=1)
    squares[i] = np.inf
    return squares.min()


def improve(n: int, seconds: float, start):
    """Return n points of the unit square, further apart than those of ``start``."""
    grid = [[i % 4 / 3, i // 4 / 3] for i in range(n)]
    points = np.array(grid if start is None else start)
    began = time.process_time()
    # EVOLVE-BLOCK-START
    rng = np.random.default_rng(1)
    left = 1.0
    while left > 0:
        i = rng.integers(n)
        before, place = nearest(points, i), points[i].copy()
        step = 0.03 * left**2
        points[i] = np.clip(place + rng.normal(0, step, 2), 0, 1)
        if nearest(points, i) < before:
            points[i] = place
        left = 1 - float(time.process_time() - began) / seconds
    # EVOLVE-BLOCK-END
    return points
