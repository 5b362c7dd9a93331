"""The seed program: as they came."""


def schedule(transactions: list[list[list[int]]]) -> list[int]:
    """Return the indices of all transactions in the order in which they are to start."""
    # EVOLVE-BLOCK-START
    return list(range(len(transactions)))
    # EVOLVE-BLOCK-END
