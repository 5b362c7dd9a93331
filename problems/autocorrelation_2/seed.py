"""The seed program: a constant function."""

import numpy as np


def construct() -> np.ndarray:
    """Return the heights of a step function, from left to right."""
    # EVOLVE-BLOCK-START
    cells = 50
    return np.ones(cells)
    # EVOLVE-BLOCK-END
