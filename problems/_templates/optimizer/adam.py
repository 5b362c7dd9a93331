import numpy as np


def update(gradient, state, step):
    """Adam (Kingma and Ba, 2015), learning rate 0.1."""
    first, second = state or (np.zeros_like(gradient), np.zeros_like(gradient))
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    scaled = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return [-0.1 * scaled, [first, second]]
