import math


def place():
    """Return ten points of the unit square."""
    # EVOLVE-BLOCK-START
    points = []
    for i in range(10):
        row = i // 4
        points.append([(i - 4 * row) / 3, row / 2])
    return points
    # EVOLVE-BLOCK-END
