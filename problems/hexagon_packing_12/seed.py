"""The seed program: a patch of the honeycomb."""

import numpy as np


def pack(n: int) -> np.ndarray:
    """Return ``n + 1`` rows ``x, y, degrees``: the inner hexagons, then the outer one."""
    # EVOLVE-BLOCK-START
    ticks = np.arange(-4, 5)
    i, j = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    x, y = 1.5 * i, np.sqrt(3) * (j + i / 2)
    # Thirteen cells are within the same distance along the normals of an outer hexagon's sides.
    normals = np.radians(30 + 60 * np.arange(6))
    reach = (np.outer(x, np.cos(normals)) + np.outer(y, np.sin(normals))).max(axis=1)
    nearest = np.argsort(np.round(reach, 6), kind="stable")[:n]
    inner = np.column_stack([x[nearest], y[nearest], np.zeros(n)])
    return np.vstack([inner, [0.0, 0.0, 0.0]])
    # EVOLVE-BLOCK-END
