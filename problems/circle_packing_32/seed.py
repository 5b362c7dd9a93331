"""The seed program: a grid of 25 equal circles, and small ones in its gaps."""

import numpy as np


def pack(n: int) -> np.ndarray:
    """Return ``n`` circles in the unit square as rows ``x, y, r``."""
    # EVOLVE-BLOCK-START
    side = int(np.sqrt(n))
    radius = 0.5 / side
    ticks = (np.arange(side) + 0.5) / side
    x, y = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    grid = np.column_stack([x, y, np.full(side * side, radius)])

    # The gap between four circles of the grid has room for one of (sqrt(2) - 1) times their radius.
    gaps = np.arange(1, side) / side
    x, y = (axis.ravel() for axis in np.meshgrid(gaps, gaps))
    small = np.column_stack([x, y, np.full(x.size, (np.sqrt(2) - 1) * radius)])
    return np.vstack([grid, small])[:n]
    # EVOLVE-BLOCK-END
