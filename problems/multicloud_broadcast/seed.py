"""The seed program: straight from the source to every destination."""

import numpy as np


def broadcast(
    price: np.ndarray,
    gbps: np.ndarray,
    source: int,
    destinations: list[int],
    partitions: int,
    gigabytes: float,
) -> list[list[list[int]]]:
    """Return for each partition the links ``[from, to]`` that it travels along."""
    # EVOLVE-BLOCK-START
    links = [[source, destination] for destination in destinations]
    return [links for _ in range(partitions)]
    # EVOLVE-BLOCK-END
