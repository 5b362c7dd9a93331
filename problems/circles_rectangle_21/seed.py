"""The seed program: equal circles in honeycomb rows, and a small one in a corner."""

import numpy as np


def pack(n: int) -> np.ndarray:
    """Return ``n`` circles as rows ``x, y, r``; the rectangle is the smallest around them."""
    # EVOLVE-BLOCK-START
    rows = int(np.ceil(np.sqrt(n)))
    per_row = (n - 1) // rows
    height = 2 + (rows - 1) * np.sqrt(3)
    width = 2 * per_row + 1
    radius = 2 / (width + height)

    row, column = (axis.ravel() for axis in np.indices((rows, per_row)))
    x = radius * (1 + 2 * column + row % 2)
    y = radius * (1 + np.sqrt(3) * row)
    equal = np.column_stack([x, y, np.full(x.size, radius)])

    # The corner to the right of the first row has room for a disc of (4 - sqrt(12)) times theirs.
    small = (4 - np.sqrt(12)) * radius
    return np.vstack([equal, [radius * width - small, small, small]])[:n]
    # EVOLVE-BLOCK-END
