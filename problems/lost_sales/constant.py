"""The same order every day."""


def order(**seen: float) -> float:
    del seen
    return 4.0
