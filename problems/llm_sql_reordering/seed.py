"""The seed program: as it is."""


def reorder(columns: list[str], rows: list[list[str]]) -> list[list]:
    """Return pairs ``[row, fields]``: all rows in order, each with the order of its fields."""
    # EVOLVE-BLOCK-START
    fields = list(range(len(columns)))
    return [[row, fields] for row in range(len(rows))]
    # EVOLVE-BLOCK-END
