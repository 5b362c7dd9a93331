"""First fit: the bin that was opened first among those with room."""

import numpy as np


def priority(item: float, bins: np.ndarray) -> np.ndarray:
    """Return equal priorities: the first bin wins a tie."""
    return np.zeros_like(bins)
