"""The seed program: a hump."""

import numpy as np


def construct() -> np.ndarray:
    """Return the heights of a step function on [0, 2], from left to right."""
    # EVOLVE-BLOCK-START
    cells = 100
    position = (np.arange(cells) + 0.5) * 2 / cells
    return np.sin(np.pi * position / 2) ** 2
    # EVOLVE-BLOCK-END
