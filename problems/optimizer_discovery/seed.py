"""The seed program: gradient descent with momentum."""

import numpy as np


def update(
    parameters: np.ndarray, gradient: np.ndarray, state: list, rate: float, step: int
) -> list:
    """Return the change of the parameters, and a list of arrays to remember."""
    velocity = state[0] if state else np.zeros_like(gradient)
    # EVOLVE-BLOCK-START
    velocity = 0.9 * velocity + gradient
    change = -rate * velocity
    # EVOLVE-BLOCK-END
    return [change, [velocity]]
