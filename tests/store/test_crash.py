"""Kill a writer again and again; then everything is judged from the database alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from evolve.store.reader import open_reader

IDS = {
    "proposals": "SELECT id FROM proposals",
    "completions": "SELECT id FROM completions",
    "replies": "SELECT id FROM completions WHERE state = 'received'",
    "programs": "SELECT id FROM programs",
    "evaluations": "SELECT id FROM evaluations",
}


def search(path: Path, iterations: int, kill_after_s: float | None) -> list[tuple[str, int]]:
    """Run the searcher, kill it so long after it got to work, return what it acknowledged."""
    command = [sys.executable, "-m", "tests.store.searcher", str(path), str(iterations)]
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


def check_file(path: Path, acknowledged: set[tuple[str, int]]) -> None:
    """Check what must hold at every moment."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        stored = {
            (name, row) for name, query in IDS.items() for (row,) in connection.execute(query)
        }
        assert acknowledged <= stored, "something committed was lost"
        unevaluated = connection.execute(
            "SELECT id FROM programs WHERE id NOT IN (SELECT program_id FROM evaluations)"
        ).fetchall()
        leased = connection.execute("SELECT program_id FROM leases").fetchall()
        assert sorted(leased) == sorted(unevaluated)


def check_end(path: Path, iterations: int) -> None:
    """Check that the search went to its end as if nothing had happened."""
    with open_reader(str(path)) as reader, closing(sqlite3.connect(path)) as connection:
        (run,) = reader.runs()
        assert run.status == "finished"
        totals = reader.totals(run.id)
        assert totals.proposals == iterations
        ended = connection.execute("SELECT iteration, status FROM proposals ORDER BY 1").fetchall()
        assert [iteration for iteration, _ in ended] == list(range(iterations))
        assert {status for _, status in ended} <= {"rejected", "duplicate", "evaluated"}
        assert connection.execute("SELECT count(*) FROM leases").fetchone() == (0,)
        assert totals.completions["received"] == iterations, "one reply was paid for per iteration"
        assert set(totals.completions) <= {"received", "unknown"}
        lost = totals.completions.get("unknown", 0)
        assert totals.cost_usd == pytest.approx(iterations * 0.001 + lost * 1.0)

        entries = reader.programs(run.id)
        assert len({entry.hash for entry in entries}) == len(entries)
        assert sum(totals.evaluations.values()) == len(entries), "each was evaluated once"
        best: dict[int, tuple[float, int]] = {}
        for program_id, objective in connection.execute(
            "SELECT program_id, objective FROM evaluations WHERE objective IS NOT NULL ORDER BY id"
        ):
            cell = int(reader.program(program_id).entry.hash[:8], 16) % 8
            if cell not in best or -objective > best[cell][0]:
                best[cell] = (-objective, program_id)
        expected = {cell: program_id for cell, (_, program_id) in best.items()}
        assert {elite.cell: elite.program_id for elite in reader.elites(run.id)} == expected
        assert dict(connection.execute("SELECT cell, program FROM elites")) == expected


def torture(path: Path, kills: int, iterations: int, seed: int) -> None:
    delays = np.random.default_rng(seed).uniform(0.0, 0.25, kills)
    acknowledged: set[tuple[str, int]] = set()
    for delay in delays:
        acknowledged.update(search(path, iterations, float(delay)))
        check_file(path, acknowledged)
    acknowledged.update(search(path, iterations, None))
    check_file(path, acknowledged)
    check_end(path, iterations)


def test_a_killed_writer_loses_and_repeats_nothing(path: Path) -> None:
    torture(path, kills=3, iterations=300, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_many_times_loses_and_repeats_nothing(path: Path) -> None:
    torture(path, kills=40, iterations=600, seed=2)
