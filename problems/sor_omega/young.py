"""Young's optimum (1954) for the five-point Laplacian on a grid of 12 x 12 points."""

import math


def omega(shift, shifts, omegas, iterations):
    jacobi = 4 * math.cos(math.pi / 13) / (4 + shift)
    return 2 / (1 + math.sqrt(1 - jacobi**2))
