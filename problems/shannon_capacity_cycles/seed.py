"""The seed program: words in order of their priority, each taken if it cannot be confused."""

import itertools

import numpy as np


def priority(words: np.ndarray, cycle: int) -> np.ndarray:
    """Return how early each of the words, the rows, is tried: the largest first."""
    # EVOLVE-BLOCK-START
    zeros = np.sum(words == 0, axis=1).astype(float)
    total = (np.sum(words, axis=1) % cycle).astype(float)
    weighted = (words @ np.arange(1, words.shape[1] + 1) % cycle).astype(float)
    return 0.0 * (zeros + total + weighted)
    # EVOLVE-BLOCK-END


def construct(cycle: int, power: int) -> list[list[int]]:
    """Return words of which every two differ by 2 or more in some place, around the cycle."""
    words = np.array(list(itertools.product(range(cycle), repeat=power)))
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=power)))
    powers = cycle ** np.arange(power)[::-1]
    blocked = np.zeros(cycle**power, dtype=bool)
    taken = []
    for code in np.argsort(-priority(words, cycle), kind="stable"):
        if not blocked[code]:
            blocked[((words[code] + steps) % cycle) @ powers] = True
            taken.append(code)
    return words[taken].tolist()
