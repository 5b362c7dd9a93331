import numpy as np


def update(gradient, state, step):
    """Return what is added to the parameters, and what is to be remembered."""
    velocity = state[0] if state else np.zeros_like(gradient)
    # EVOLVE-BLOCK-START
    velocity = 0.9 * velocity + gradient
    change = -0.01 * velocity
    # EVOLVE-BLOCK-END
    return [change, [velocity]]
