"""The seed program: one point at a time, by simulated annealing."""

import time

import numpy as np


def ratio(points: np.ndarray) -> float:
    """Return the squared ratio of the largest distance to the smallest one."""
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    return float(squares.max() / squares[np.triu_indices(len(points), 1)].min())


def improve(n: int, seconds: float, start: list[list[float]] | None) -> np.ndarray:
    """Return the best points found from ``start``, after so many seconds of CPU time."""
    side = int(np.ceil(np.sqrt(n)))
    grid = [[i % side / (side - 1), i // side / (side - 1)] for i in range(n)]
    points = np.array(grid if start is None else start)
    best, least = points.copy(), ratio(points)
    began = time.process_time()
    # EVOLVE-BLOCK-START
    rng = np.random.default_rng(1)
    now = least
    left = 1.0
    while left > 0:
        draw = float(rng.random())
        step = 10 ** (3 * draw - 4)
        heat = 0.01 * left
        i = rng.integers(n)
        place = points[i].copy()
        points[i] += rng.normal(0, step, 2)
        new = ratio(points)
        if new < now - heat * np.log(rng.random()):
            now = new
            if now < least:
                best, least = points.copy(), now
        else:
            points[i] = place
        left = 1 - float(time.process_time() - began) / seconds
    # EVOLVE-BLOCK-END
    return best
