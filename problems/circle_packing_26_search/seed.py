"""The seed program: two discs at a time, by simulated annealing."""

import math
import time

import numpy as np


def grid(n: int) -> np.ndarray:
    """Return a grid of equal discs, and small ones in its gaps, as rows ``x, y, r``."""
    side = math.isqrt(n)
    radius = 0.5 / side
    ticks = [(i + 0.5) / side for i in range(side)]
    gaps = [i / side for i in range(1, side)]
    large = [(x, y, radius) for x in ticks for y in ticks]
    return np.array((large + [(x, y, (math.sqrt(2) - 1) * radius) for x in gaps for y in gaps])[:n])


def room(discs: np.ndarray, x: float, y: float, without: list[int]) -> float:
    """Return the largest radius of a disc around ``x, y`` that overlaps none of the others."""
    rims = np.hypot(discs[:, 0] - x, discs[:, 1] - y) - discs[:, 2]
    rims[without] = np.inf
    return min(x, 1 - x, y, 1 - y, float(rims.min()))


def improve(n: int, seconds: float, start: list[list[float]] | None) -> np.ndarray:
    """Return the best packing found from ``start``, after so many seconds of CPU time."""
    discs = np.array(start) if start is not None else grid(n)
    best = discs.copy()
    began = time.process_time()
    # EVOLVE-BLOCK-START
    rng = np.random.default_rng(1)
    left = 1.0
    while left > 0:
        i, j = rng.choice(n, 2, replace=False)
        draw = float(rng.random())
        step = 10 ** (3 * draw - 4)
        x, y, u, v = np.concatenate([discs[i, :2], discs[j, :2]]) + rng.normal(0, step, 4)
        r = room(discs, x, y, [i, j])
        s = min(room(discs, u, v, [i, j]), math.hypot(x - u, y - v) - r)
        gained = r + s - discs[i, 2] - discs[j, 2]
        heat = 0.003 * left
        if r > 0 and s > 0 and gained > heat * math.log(rng.random()):
            discs[i], discs[j] = (x, y, r), (u, v, s)
            if discs[:, 2].sum() > best[:, 2].sum():
                best = discs.copy()
        left = 1 - float(time.process_time() - began) / seconds
    # EVOLVE-BLOCK-END
    return best
