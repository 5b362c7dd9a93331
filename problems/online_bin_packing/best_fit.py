"""Best fit: the bin that is left with the least room."""

import numpy as np


def priority(item: float, bins: np.ndarray) -> np.ndarray:
    """Return the negated room that each bin would have left."""
    return item - bins
