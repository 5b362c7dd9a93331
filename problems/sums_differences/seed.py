"""The seed program: the smallest set with more differences than sums."""


def construct() -> list[int]:
    """Return a set of whole numbers, none negative."""
    # EVOLVE-BLOCK-START
    return [0, 1, 3]
    # EVOLVE-BLOCK-END
