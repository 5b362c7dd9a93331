"""EXAdam (Adly, arXiv:2412.20302, 2024), without weight decay."""

import numpy as np


def update(parameters, gradient, state, rate, step):
    m, v = state or (np.zeros_like(gradient), np.zeros_like(gradient))
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    first = (1 + v / (v + 1e-8) * 0.999**step) / (1 - 0.9**step)
    second = (1 + m**2 / (m**2 + 1e-8) * 0.9**step) / (1 - 0.999**step)
    change = -rate * first * (m + gradient) / (np.sqrt(v * second) + 1e-8)
    return [change, [m, v]]
