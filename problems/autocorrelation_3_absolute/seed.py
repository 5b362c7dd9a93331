"""The seed program: the function of Schinzel and Schmidt in cells, at its midpoints."""

import numpy as np


def construct() -> np.ndarray:
    """Return the heights of a step function on [-1/4, 1/4], from left to right."""
    # EVOLVE-BLOCK-START
    cells = 600
    position = (np.arange(cells) + 0.5) / cells
    return 1.0 / np.sqrt(position)
    # EVOLVE-BLOCK-END
