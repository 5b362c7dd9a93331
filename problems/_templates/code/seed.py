def inversions(values):
    """Return the number of pairs i < j with values[i] > values[j]."""
    # EVOLVE-BLOCK-START
    count = 0
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            if values[i] > values[j]:
                count += 1
    return count
    # EVOLVE-BLOCK-END
