"""The seed program: stretched out."""


def angles(joints: int) -> list[float]:
    """Return the angle of each joint to the link before, from -pi to pi."""
    # EVOLVE-BLOCK-START
    return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    # EVOLVE-BLOCK-END
