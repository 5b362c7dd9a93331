"""Who has which slot: leases with tokens, and what still counts of what comes back. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot, lent.

    Attributes:
        token: Larger than that of every earlier lease of the run; a slot obeys the largest only.
        place: Where the slot is.
    """

    token: int
    place: int


class Leases:
    """All leases of a pool. Each ends exactly once: given back, or lost with its place.

    What is told under the token of an ended lease is late: its work has been given to another slot,
    or is done. It is counted and nothing else.
    """

    def __init__(self) -> None:
        self._last = 0
        self._live: dict[int, Lease] = {}
        self.lost = self.late = 0

    def grant(self, place: int) -> Lease:
        """Lend the slot at ``place``.

        Raises:
            ValueError: it is lent.
        """
        if any(lease.place == place for lease in self._live.values()):
            raise ValueError(f"place {place} is lent")
        self._last += 1
        lease = self._live[self._last] = Lease(self._last, place)
        return lease

    def holds(self, token: int) -> bool:
        """Return whether a lease goes on."""
        return token in self._live

    def give_back(self, token: int) -> bool:
        """End a lease; return whether it went on until now."""
        return self._live.pop(token, None) is not None

    def lose(self, place: int) -> Lease | None:
        """End the lease of a place that is gone, and return it; None when there is none."""
        found = next((each for each in self._live.values() if each.place == place), None)
        if found is not None:
            del self._live[found.token]
            self.lost += 1
        return found

    def counts(self, token: int) -> bool:
        """Return whether what was told under ``token`` counts; remember if it came too late."""
        if token in self._live:
            return True
        self.late += 1
        return False
