"""Benchmarks fill databases in bulk: with the very rows that the engine would have written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.filled import fill, fill_slowly
from evolve.store.reader import open_reader
from evolve.store.schema import metadata

SIZE = 150


def test_bulk_and_transactions_write_the_same_rows(tmp_path: Path) -> None:
    bulk, slow = tmp_path / "bulk.db", tmp_path / "slow.db"
    fill(bulk, SIZE)
    fill_slowly(slow, SIZE)
    with closing(sqlite3.connect(bulk)) as one, closing(sqlite3.connect(slow)) as other:
        for table in metadata.tables:
            query = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert one.execute(query).fetchall() == other.execute(query).fetchall(), table
        assert one.execute("SELECT count(*) FROM programs").fetchone() == (SIZE,)
    with open_reader(str(bulk)) as reader, open_reader(str(slow)) as again:
        assert reader.archive_digest(1) == again.archive_digest(1)
        assert reader.leaderboard(1) == again.leaderboard(1)
        assert 50 < len(reader.elites(1)) < SIZE
