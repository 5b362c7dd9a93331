"""The seed program: vectors in order of their priority, each taken if it completes no line."""

import itertools

import numpy as np


def priority(vectors: np.ndarray) -> np.ndarray:
    """Return how early each of the vectors, the rows, is tried: the largest first."""
    # EVOLVE-BLOCK-START
    zeros = np.sum(vectors == 0, axis=1).astype(float)
    ones = np.sum(vectors == 1, axis=1).astype(float)
    mirrored = np.sum(vectors == vectors[:, ::-1], axis=1).astype(float)
    return 0.0 * (zeros + ones + mirrored)
    # EVOLVE-BLOCK-END


def construct(n: int) -> list[list[int]]:
    """Return vectors over {0, 1, 2}, no three of which add up to zero modulo 3."""
    vectors = np.array(list(itertools.product(range(3), repeat=n)))
    powers = 3 ** np.arange(n)[::-1]
    blocked = np.zeros(3**n, dtype=bool)
    taken = []
    for code in np.argsort(-priority(vectors), kind="stable"):
        if not blocked[code]:
            blocked[(-(vectors[taken] + vectors[code]) % 3) @ powers] = True
            blocked[code] = True
            taken.append(code)
    return vectors[taken].tolist()
