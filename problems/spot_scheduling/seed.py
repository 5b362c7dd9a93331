"""The seed program: spot machines while there are some, and no thought of the deadline."""


def decide(
    available: bool, running: int, now: float, remaining: float, deadline: float, overhead: float
) -> int:
    """Return 0 to wait, 1 for a spot machine, 2 for one on demand."""
    # EVOLVE-BLOCK-START
    return 1 if available else 0
    # EVOLVE-BLOCK-END
