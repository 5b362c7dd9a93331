"""The seed program: Gauss-Seidel."""

import numpy as np


def omega(shift: float, shifts: np.ndarray, omegas: np.ndarray, iterations: np.ndarray) -> float:
    """Return the relaxation parameter for the next system."""
    # EVOLVE-BLOCK-START
    return 1.0
    # EVOLVE-BLOCK-END
