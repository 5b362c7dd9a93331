"""The database in a real datasette: views for people, texts instead of bytes, ready queries."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evolve.store.store import open_store
from tests.store.samples import entering, new_run, program, propose, scored

pytestmark = pytest.mark.integration

VIEWS = {"leaderboard", "elites", "lineage", "spend_by_model", "failures"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere.db"
    with open_store(str(path)) as store:
        run_id = store.create_run(new_run()).id
        store.claim(run_id, "here:1")
        seed = store.add_program(run_id, program(0), operator="seed").id
        store.commit_evaluation(seed, scored(3.0), [entering(seed, 0, -3.0)])
        child = propose(store, run_id, 0, 2, seed)
        store.commit_evaluation(child, scored(2.0), [entering(child, 0, -2.0, seed)])
        rejected = store.begin_proposal(run_id, 1, "diff", 0, [seed], [], "openai/sample")
        store.reject(rejected, "no_hunk", "the reply holds <b>no</b> edit")
    return path


def get(path: Path, page: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "datasette", str(path), "--get", page],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done.stdout


def rows(path: Path, page: str) -> list[dict[str, Any]]:
    joint = "&" if "?" in page else "?"
    text = get(path, f"/{path.stem}/{page}{joint}_shape=array")
    return [dict(row) for row in json.loads(text)]


def test_views_have_plain_names_and_say_who_made_what(path: Path) -> None:
    database = json.loads(get(path, f"/{path.stem}.json"))

    assert {view["name"] for view in database["views"]} >= VIEWS
    best, seed = rows(path, "leaderboard.json")
    assert (best["rank"], best["program"], best["operator"]) == (1, 2, "diff")
    assert seed["model"] is None
    assert [(row["cell"], row["program"]) for row in rows(path, "elites.json")] == [(0, 2)]
    assert [row["model"] for row in rows(path, "spend_by_model.json")] == ["openai/sample"]
    (failure,) = rows(path, "failures.json")
    assert (failure["kind"], failure["model"]) == ("no_hunk", "openai/sample")


def test_texts_can_be_read_and_queries_are_ready(path: Path) -> None:
    assert [row["program"] for row in rows(path, "ancestors.json?program=2")] == [2, 1]
    assert rows(path, "sources.json?program=2") == [{"path": "main.py", "text": "x = 2\n"}]
    (call,) = rows(path, "conversation.json?program=2")
    assert (call["prompt"], call["reply"]) == ('{"messages": []}', "x = 2")
    assert [row["name"] for row in rows(path, "cases.json?program=2")] == ["easy", "hard"]


def test_pages_show_texts_escaped_and_no_bytes(path: Path) -> None:
    blobs = get(path, f"/{path.stem}/blobs")
    assert "x = 2" in blobs
    assert "Binary" not in blobs
    failures = get(path, f"/{path.stem}/failures")
    assert "&lt;b&gt;no&lt;/b&gt;" in failures
    assert "<b>no</b>" not in failures


def test_other_databases_are_left_as_they_are(tmp_path: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    database = json.loads(get(tmp_path / "other.db", "/other.json"))
    assert database["queries"] == []
