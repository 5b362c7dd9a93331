"""The seed program: the minimal vectors of the lattice D_n."""

import itertools


def construct(dimension: int) -> list[list[int]]:
    """Return vectors with pairwise angles of at least 60 degrees."""
    # EVOLVE-BLOCK-START
    vectors = []
    for i, j in itertools.combinations(range(dimension), 2):
        for a, b in itertools.product((1, -1), repeat=2):
            vector = [0] * dimension
            vector[i], vector[j] = a, b
            vectors.append(vector)
    return vectors
    # EVOLVE-BLOCK-END
