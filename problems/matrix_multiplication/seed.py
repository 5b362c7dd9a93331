"""The seed program: the definition of the matrix product, n m p multiplications."""

import numpy as np


def decompose(n: int, m: int, p: int) -> list[np.ndarray]:
    """Return U, V, W of an algorithm for the product of an n x m and an m x p matrix.

    Shapes (n m, r), (m p, r) and (p n, r) with r the number of multiplications.
    """
    # EVOLVE-BLOCK-START
    rank = n * m * p
    u, v, w = np.zeros((n * m, rank)), np.zeros((m * p, rank)), np.zeros((p * n, rank))
    for s, (i, j, k) in enumerate(np.ndindex(n, m, p)):
        u[i * m + j, s] = v[j * p + k, s] = w[k * n + i, s] = 1.0
    return [u, v, w]
    # EVOLVE-BLOCK-END
