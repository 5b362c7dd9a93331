"""The seed program: words in order of their priority, each taken if it fits."""

import itertools

import numpy as np

#: For two letters, the bits of the letters that make a good place with them.
COMPLETING = np.array([[0b110, 0b101, 0b011], [0b101, 0b000, 0b001], [0b011, 0b001, 0b000]])


def priority(words: np.ndarray) -> np.ndarray:
    """Return how early each of the words, the rows, is tried: the largest first."""
    # EVOLVE-BLOCK-START
    twos = np.sum(words == 2, axis=1).astype(float)
    turns = np.sum(words != np.roll(words, 1, axis=1), axis=1).astype(float)
    mirrored = np.sum(words == words[:, ::-1], axis=1).astype(float)
    return 0.0 * (twos + turns + mirrored)
    # EVOLVE-BLOCK-END


def construct(n: int, weight: int) -> list[list[int]]:
    """Return an admissible set of words over 0, 1, 2 with so many letters that are not 0."""
    words = []
    for support in itertools.combinations(range(n), weight):
        for letters in itertools.product((1, 2), repeat=weight):
            word = [0] * n
            for place, letter in zip(support, letters, strict=True):
                word[place] = letter
            words.append(word)
    letters = np.array(words)
    letters = letters[np.argsort(-priority(letters), kind="stable")]
    supports = (letters != 0) @ (1 << np.arange(n))
    places = 3 * np.arange(n)
    masks = (1 << (places + letters)).sum(axis=1)
    taken = []
    alive = np.arange(len(words))  # what fits with all that is taken
    while alive.size:
        chosen, alive = alive[0], alive[1:]
        alive = alive[supports[alive] != supports[chosen]]
        pairs = (COMPLETING[letters[chosen], letters[taken]] << places).sum(axis=1)
        alive = alive[((masks[alive, None] & pairs) != 0).all(axis=1)]
        taken.append(chosen)
    return letters[taken].tolist()
