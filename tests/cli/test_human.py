"""`evolve hint` and `evolve submit` as people type them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.fakes import SEED


@pytest.fixture
def db(searched: Path, tmp_path: Path) -> str:
    copy = tmp_path / "evolve.db"
    shutil.copy(searched / "evolve.db", copy)
    return str(copy)


def test_hints_are_listed_and_taken_back(invoke: Invoke, db: str) -> None:
    done = invoke("hint", "latest", "Think of squares.", "--db", db)
    assert done.code == 0
    assert "waits" in done.out
    assert "run 1 is finished and is not gone on with: nobody will be told this" in done.out
    (hint,) = invoke("hint", "--db", db, "--json").json
    assert (hint["text"], hint["first"], hint["withdrawn"]) == ("Think of squares.", None, False)
    gone = invoke("hint", "latest", "--remove", str(hint["id"]), "--db", db)
    assert "never" in gone.out
    wrong = invoke("hint", "latest", "--remove", "77", "--db", db)
    assert wrong.code == 3
    assert "has no hint 77" in wrong.err


def test_a_hint_for_a_stopped_run_waits_for_it_to_go_on(invoke: Invoke, db: str) -> None:
    with closing(sqlite3.connect(db)) as database, database:
        database.execute("UPDATE runs SET status = 'interrupted'")
    done = invoke("hint", "latest", "Think of squares.", "--db", db)
    assert "waits" in done.out
    assert "nobody will be told" not in done.out


def test_a_submitted_program_is_evaluated_and_shown(
    invoke: Invoke, db: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(SEED.replace("0.5 * x + 2.0", "1 + x * x"))
    done = invoke("submit", "latest", str(mine), "--db", db)
    assert done.code == 0, done.err
    assert done.out.startswith("program ")
    assert ": 0 (" in done.out
    shown = invoke("show", "--db", db)
    assert "submit" in shown.out
    again = invoke("submit", "latest", str(mine), "--db", db)
    assert "refused (duplicate)" in again.out
    mine.write_text("def f(x):\n    return 1\n")
    assert "refused (outside_blocks)" in invoke("submit", "latest", str(mine), "--db", db).out
