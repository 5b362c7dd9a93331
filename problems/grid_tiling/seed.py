"""The seed program: bare cells on the diagonal, and the rest of each row in two pieces."""


def tile(n: int) -> list[tuple[int, int, int, int]]:
    """Return rectangles ``row, column, height, width`` on an n x n grid."""
    # EVOLVE-BLOCK-START
    tiles = []
    for i in range(n):
        if i > 0:
            tiles.append((i, 0, 1, i))
        if i < n - 1:
            tiles.append((i, i + 1, 1, n - 1 - i))
    return tiles
    # EVOLVE-BLOCK-END
