import numpy as np


def softmax(x):
    """Return the softmax of each row."""
    # EVOLVE-BLOCK-START
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        row = np.exp(x[i] - x[i].max())
        out[i] = row / row.sum()
    return out
    # EVOLVE-BLOCK-END
