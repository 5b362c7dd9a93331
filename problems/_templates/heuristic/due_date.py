def priority(length, due, weight, now):
    """Earliest due date first."""
    return -due
