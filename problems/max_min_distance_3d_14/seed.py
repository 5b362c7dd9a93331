"""The seed program: a piece of the face-centred cubic lattice."""

import itertools

import numpy as np


def place(n: int) -> np.ndarray:
    """Return ``n`` points in space as rows ``x, y, z``."""
    # EVOLVE-BLOCK-START
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    faces = np.vstack([np.eye(3), -np.eye(3)])
    return np.vstack([corners, faces])[:n]
    # EVOLVE-BLOCK-END
