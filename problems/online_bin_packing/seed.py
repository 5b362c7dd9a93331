"""The seed program: best fit."""

import numpy as np


def priority(item: float, bins: np.ndarray) -> np.ndarray:
    """Return how much each bin is wanted for the item.

    Args:
        item: Size of the item that has just arrived.
        bins: Remaining capacity of every bin with room for it, in the order of opening; the last
            one is a fresh bin.

    Returns:
        One number for each bin; the item goes to the first bin with the largest.
    """
    # EVOLVE-BLOCK-START
    gap = bins - item
    return -gap
    # EVOLVE-BLOCK-END
