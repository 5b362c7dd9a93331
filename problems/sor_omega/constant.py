"""Always 1.5."""


def omega(shift, shifts, omegas, iterations):
    return 1.5
