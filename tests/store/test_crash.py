"""Kill a writer again and again; then everything is judged from the database alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection

from evolve.store.reader import open_reader

IDS = {
    "proposals": "SELECT id FROM proposals",
    "completions": "SELECT id FROM completions",
    "replies": "SELECT id FROM completions WHERE state = 'received'",
    "programs": "SELECT id FROM programs",
    "evaluations": "SELECT id FROM evaluations",
}


def search(url: str, iterations: int, kill_after_s: float | None) -> list[tuple[str, int]]:
    """Run the searcher, kill it so long after it got to work, return what it acknowledged."""
    command = [sys.executable, "-m", "tests.store.searcher", url, str(iterations)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready 0\n"
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            child.kill()
        lines = child.stdout.read().splitlines(keepends=True)
    if kill_after_s is None:
        assert child.returncode == 0
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(table, int(row)) for table, row in whole]


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(query)]


def check_database(url: str, acknowledged: set[tuple[str, int]]) -> None:
    """Check what must hold at every moment."""
    with open_reader(url) as reader, reader._database.read() as connection:
        if reader._database.kind == "sqlite":
            assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
            assert rows(connection, "PRAGMA foreign_key_check") == []
        stored = {(name, row) for name, query in IDS.items() for (row,) in rows(connection, query)}
        assert acknowledged <= stored, "something committed was lost"
        unevaluated = rows(
            connection,
            "SELECT id FROM programs WHERE id NOT IN (SELECT program_id FROM evaluations)",
        )
        leased = rows(connection, "SELECT program_id FROM leases")
        assert sorted(leased) == sorted(unevaluated)


def check_end(url: str, iterations: int) -> None:
    """Check that the search went to its end as if nothing had happened."""
    with open_reader(url) as reader, reader._database.read() as connection:
        (run,) = reader.runs()
        assert run.status == "finished"
        totals = reader.totals(run.id)
        assert totals.proposals == iterations
        ended = rows(connection, "SELECT iteration, status FROM proposals ORDER BY 1")
        assert [iteration for iteration, _ in ended] == list(range(iterations))
        assert {status for _, status in ended} <= {"rejected", "duplicate", "evaluated"}
        assert rows(connection, "SELECT count(*) FROM leases") == [(0,)]
        assert totals.completions["received"] == iterations, "one reply was paid for per iteration"
        assert set(totals.completions) <= {"received", "unknown"}
        lost = totals.completions.get("unknown", 0)
        assert totals.cost_usd == pytest.approx(iterations * 0.001 + lost * 1.0)

        entries = reader.programs(run.id)
        assert len({entry.hash for entry in entries}) == len(entries)
        assert sum(totals.evaluations.values()) == len(entries), "each was evaluated once"
        best: dict[int, tuple[float, int]] = {}
        for program_id, objective in rows(
            connection,
            "SELECT program_id, objective FROM evaluations WHERE objective IS NOT NULL ORDER BY id",
        ):
            cell = int(reader.program(program_id).entry.hash[:8], 16) % 8
            if cell not in best or -objective > best[cell][0]:
                best[cell] = (-objective, program_id)
        expected = {cell: program_id for cell, (_, program_id) in best.items()}
        assert {elite.cell: elite.program_id for elite in reader.elites(run.id)} == expected
        assert dict(rows(connection, "SELECT cell, program FROM elites")) == expected


def torture(url: str, kills: int, iterations: int, seed: int) -> None:
    delays = np.random.default_rng(seed).uniform(0.0, 0.25, kills)
    acknowledged: set[tuple[str, int]] = set()
    for delay in delays:
        acknowledged.update(search(url, iterations, float(delay)))
        check_database(url, acknowledged)
    acknowledged.update(search(url, iterations, None))
    check_database(url, acknowledged)
    check_end(url, iterations)


def test_a_killed_writer_loses_and_repeats_nothing(url: str) -> None:
    torture(url, kills=3, iterations=300, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_many_times_loses_and_repeats_nothing(url: str) -> None:
    torture(url, kills=40, iterations=600, seed=2)
