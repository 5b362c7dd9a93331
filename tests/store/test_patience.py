"""Lost transactions begin again, but not inside another one, which is lost with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.core.errors import StoreError, TransactionLost
from evolve.store.database import Database
from evolve.store.opening import open_database
from evolve.store.patience import TRIES, Patient


class Cut(Patient):
    """Loses its first transactions."""

    def __init__(self, database: Database, losses: int) -> None:
        self._database, self.losses, self.tries = database, losses, 0

    def look(self) -> int:
        """Read; be cut off."""
        with self._database.read():
            self.tries += 1
            if self.tries <= self.losses:
                raise TransactionLost("cut")
            return self.tries


def test_a_lost_transaction_begins_again_unless_it_is_a_part_of_another(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "evolve.db"), create=True, readonly=False)
    try:
        assert Cut(database, TRIES - 1).look() == TRIES
        with pytest.raises(StoreError, match=f"begun {TRIES} times"):
            Cut(database, TRIES).look()
        for outer in (database.one_state, database.write):
            within = Cut(database, 1)
            with pytest.raises(TransactionLost), outer():
                within.look()
            assert within.tries == 1
    finally:
        database.close()
