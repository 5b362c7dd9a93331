import numpy as np


def priority(length, due, weight, now):
    """Return a number for each waiting job; the largest is next."""
    # EVOLVE-BLOCK-START
    return weight / length
    # EVOLVE-BLOCK-END
