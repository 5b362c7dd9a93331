"""A baseline: squares of side k in a lattice of bare cells, four rims around them, for n = k^2."""

import math


def tile(n: int) -> list[tuple[int, int, int, int]]:
    """Return rectangles ``row, column, height, width`` on an n x n grid, n a square number."""
    # EVOLVE-BLOCK-START
    k = math.isqrt(n)
    inner = range(k - 1)
    squares = [(a * k + b + 1, b * k + k - 1 - a, k, k) for a in inner for b in inner]
    half = [(0, a * k + k, a + 1, k) for a in inner]
    half += [(a * k, 0, k, k - 1 - a) for a in inner]
    return squares + half + [(n - r - h, n - c - w, h, w) for r, c, h, w in half]
    # EVOLVE-BLOCK-END
