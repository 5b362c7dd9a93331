"""Adam (Kingma and Ba, 2015)."""

import numpy as np


def update(parameters, gradient, state, rate, step):
    m, v = state or (np.zeros_like(gradient), np.zeros_like(gradient))
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    change = -rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return [change, [m, v]]
