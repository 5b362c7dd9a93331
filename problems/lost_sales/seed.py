"""How much to order at the end of a day."""


def order(on_hand: float, due: float) -> float:
    """Return how many units to order; they arrive three days later.

    on_hand: units in stock; due: units ordered that have not arrived. About 5 units are asked for
    every day. A unit in stock costs 1 a night, a customer who finds none costs 4.
    """
    # EVOLVE-BLOCK-START
    level = 20.0
    return level - on_hand - due
    # EVOLVE-BLOCK-END
