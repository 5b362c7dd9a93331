"""What all databases share: transactions, what messages call them, and how values become JSON.

`evolve.store.sqlite` and `evolve.store.postgres` are the two kinds, `evolve.store.opening` makes
one from a URL.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, Table

#: Seconds to wait for another process's transaction. Ours take about a millisecond.
BUSY_S = 30.0
#: When a commit is on the disk, see `evolve.store.sqlite`.
SYNCHRONOUS = ("normal", "full")


class Joined(threading.local):
    """The transaction that further ones of a thread are a part of.

    Attributes:
        reading: For those that read.
        writing: For those that write.
    """

    reading: Connection | None = None
    writing: Connection | None = None

    @contextmanager
    def to(self, connection: Connection, *, writing: bool) -> Iterator[None]:
        """Make further transactions a part of this one."""
        before = self.reading, self.writing
        self.reading = connection
        self.writing = connection if writing else self.writing
        try:
            yield
        finally:
            self.reading, self.writing = before


class Database(ABC):
    """Transactions on one database. Safe to use from several threads; each has its own connection.

    Attributes:
        name: What messages call it; never has a password.
        folder: Where relative paths that belong to its runs start.
    """

    def __init__(self, name: str, folder: Path, engine: Engine) -> None:
        self.name, self.folder = name, folder
        self._engine = engine
        self._joined = Joined()
        #: What every transaction that writes begins with.
        self.first: Callable[[Connection], None] | None = None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state of the database and blocks nobody.

        Within `write` and `one_state` of the same thread it is theirs.
        """
        joined = self._joined.reading
        return self._read() if joined is None else nullcontext(joined)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that excludes other writers; it commits when the block ends well.

        What it reads is the newest state, and stays so until it ends. All that the thread reads
        and writes inside the block is a part of it.
        """
        if (joined := self._joined.writing) is not None:
            yield joined
            return
        with self._write() as connection, self._joined.to(connection, writing=True):
            if self.first is not None:
                self.first(connection)
            yield connection

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """Have all that this thread reads inside the context see one state of the database."""
        with self.read() as connection, self._joined.to(connection, writing=False):
            yield

    @property
    def joined(self) -> bool:
        """Whether this thread is inside a block of `write` or `one_state`."""
        return self._joined.reading is not None

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]:
        """Open what `read` gives."""

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]:
        """Open what `write` gives."""

    @abstractmethod
    def alter(self) -> AbstractContextManager[Connection]:
        """Open a transaction that may change tables; it excludes other writers."""

    @abstractmethod
    def identity(self) -> Hashable | None:
        """Return what tells the database from another of the same name; None when it is gone."""

    @abstractmethod
    def numbered(self, connection: Connection, table: Table) -> None:
        """Have further rows of a table numbered after those that came with numbers."""

    @abstractmethod
    def wait_at_most(self, seconds: float) -> None:
        """Set how long a transaction waits for other processes, or for a server that is away."""

    @abstractmethod
    def wait_for_server(self, seconds: float) -> None:
        """Set how long a transaction waits for a server that is away."""

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def to_json(value: object) -> str:
    """Return JSON text; neither it nor SQL knows NaN and infinity.

    Raises:
        ValueError: a number is one of these.
    """
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))
