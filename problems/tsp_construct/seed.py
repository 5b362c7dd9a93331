"""The seed program: nearest neighbour."""

import numpy as np


def attraction(to_here: np.ndarray, to_start: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return a number for each city left; the largest is next."""
    # EVOLVE-BLOCK-START
    return -to_here
    # EVOLVE-BLOCK-END
