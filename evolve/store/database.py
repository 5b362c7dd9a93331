"""What all databases share: transactions, what messages call them, and how values become JSON.

`evolve.store.sqlite` and `evolve.store.postgres` are the two kinds, `evolve.store.opening` makes
one from a URL.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Engine

#: Seconds to wait for another process's transaction. Ours take about a millisecond.
BUSY_S = 30.0
#: When a commit is on the disk, see `evolve.store.sqlite`.
SYNCHRONOUS = ("normal", "full")


class Database(ABC):
    """Transactions on one database. Safe to use from several threads; each has its own connection.

    Attributes:
        name: What messages call it; never has a password.
        folder: Where relative paths that belong to its runs start.
    """

    def __init__(self, name: str, folder: Path, engine: Engine) -> None:
        self.name, self.folder = name, folder
        self._engine = engine

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state of the database and blocks nobody."""

    @abstractmethod
    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that excludes other writers; it commits when the block ends well.

        What it reads is the newest state, and stays so until it ends.
        """

    @abstractmethod
    def alter(self) -> AbstractContextManager[Connection]:
        """Open a transaction that may change tables; it excludes other writers."""

    @abstractmethod
    def identity(self) -> Hashable | None:
        """Return what tells the database from another of the same name; None when it is gone."""

    @abstractmethod
    def wait_at_most(self, seconds: float) -> None:
        """Set how long a transaction waits for other processes, or for a server that is away."""

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def to_json(value: object) -> str:
    """Return JSON text; neither it nor SQL knows NaN and infinity.

    Raises:
        ValueError: a number is one of these.
    """
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))
