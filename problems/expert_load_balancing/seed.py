"""The seed program: experts in order, round and round."""

import numpy as np


def place(loads: np.ndarray, gpus: int, places: int) -> np.ndarray:
    """Return the expert in each place, shape ``(layers, gpus, places)``."""
    # EVOLVE-BLOCK-START
    _, layers, experts = loads.shape
    order = np.arange(gpus * places) % experts
    return np.tile(order.reshape(gpus, places), (layers, 1, 1))
    # EVOLVE-BLOCK-END
