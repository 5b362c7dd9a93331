# EVOLVE-BLOCK-START
X = [-0.6, -0.6, -0.6, -0.6, -0.6, -0.6, -0.6, -0.6]
# EVOLVE-BLOCK-END


def constants() -> list[float]:
    return X
