"""Play a whole instance beside the program: the quick way for programs of a closed set.

It shows the program exactly what `OnlineBinPacking.interact` shows it across the boundary, one
item at a time, and hands back the assignment. Nothing here is trusted: the scorer recomputes the
result from the assignment and the instance it keeps.
"""

import numpy as np


def run(priority, items, capacity):
    """Return the bin of every item, bins numbered in the order in which they were opened."""
    remaining = np.full(len(items) + 1, float(capacity))
    assignment = np.empty(len(items), dtype=np.int64)
    opened = 0
    with np.errstate(all="ignore"):
        for position, item in enumerate(items.tolist()):
            fitting = np.flatnonzero(remaining[: opened + 1] >= item)
            priorities = np.asarray(priority(item=float(item), bins=remaining[fitting]))
            if priorities.shape != fitting.shape or priorities.dtype.kind not in "iuf":
                raise ValueError(
                    f"priority must return {len(fitting)} numbers, one for each bin, but for "
                    f"item {position} it returned {priorities.dtype} of shape {priorities.shape}"
                )
            best = np.argmax(priorities)
            if np.isnan(priorities[best]):  # argmax prefers NaN; here it is wanted least
                best = np.argmax(np.where(np.isnan(priorities), -np.inf, priorities))
            chosen = fitting[best]
            remaining[chosen] -= item
            assignment[position] = chosen
            opened = max(opened, int(chosen) + 1)
    return assignment
