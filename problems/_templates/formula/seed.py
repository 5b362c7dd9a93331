def place(n):
    """Return the column of the queen in each row."""
    # EVOLVE-BLOCK-START
    return [2 * row % n for row in range(n)]
    # EVOLVE-BLOCK-END
