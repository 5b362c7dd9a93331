"""Which parents the iterations under way vary, counted as they come and go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Engaged:
    """Iterations under way.

    Attributes:
        busy: How many there are from each parent; none that has none.
    """

    busy: Counter[int] = field(default_factory=Counter)
    _parents: dict[int, int] = field(default_factory=dict)

    def begin(self, iteration: int, parent: int) -> None:
        """Note that an iteration from a parent is under way, and from no other one."""
        self.end(iteration)
        self._parents[iteration] = parent
        self.busy[parent] += 1

    def end(self, iteration: int) -> int | None:
        """Note that an iteration has ended, if it was under way; return its parent."""
        parent = self._parents.pop(iteration, None)
        if parent is not None:
            self.busy[parent] -= 1
            if not self.busy[parent]:
                del self.busy[parent]
        return parent
