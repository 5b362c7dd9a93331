"""The seed program: the largest perfect ruler."""


def construct() -> list[int]:
    """Return whole numbers that have 1, 2, ..., v as differences."""
    # EVOLVE-BLOCK-START
    return [0, 1, 4, 6]
    # EVOLVE-BLOCK-END
