"""The seed program: a square grid."""

import numpy as np


def place(n: int) -> np.ndarray:
    """Return ``n`` points in the plane as rows ``x, y``."""
    # EVOLVE-BLOCK-START
    side = int(np.ceil(np.sqrt(n)))
    x, y = (axis.ravel() for axis in np.indices((side, side)))
    return np.column_stack([x, y]).astype(float)[:n]
    # EVOLVE-BLOCK-END
