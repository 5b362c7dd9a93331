"""Lion (Chen et al., arXiv:2302.06675, 2023), without weight decay."""

import numpy as np


def update(parameters, gradient, state, rate, step):
    m = state[0] if state else np.zeros_like(gradient)
    change = -rate * np.sign(0.9 * m + 0.1 * gradient)
    return [change, [0.99 * m + 0.01 * gradient]]
