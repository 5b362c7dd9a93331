"""Databases of older versions are brought up to date with what is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from evolve.store import database
from evolve.store.schema import VERSION
from evolve.store.store import open_store


def of_version(path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty database as that version made it."""
    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _: upgrade(config, version))
        patched.setattr("evolve.store.migrate.view_statements", list)
        database.open_database(str(path), create=True, readonly=False).close()


def test_proposals_learn_which_model_they_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0001", monkeypatch)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO runs VALUES (1, 'r', 'p', 0, 'finished', '', 0, 0, 0, 'o', 'maximize', 0,"
            " '[]', 'e', '{}', 'c', 'h', '{}', NULL, NULL, NULL, NULL)"
        )
        connection.execute("INSERT INTO blobs VALUES (1, 'x', 0, x'')")
        for number in (1, 2):
            connection.execute(
                "INSERT INTO proposals VALUES (?, 1, ?, 'diff', 0, '[]', '[]', 'rejected', 'no',"
                " '', 0, 0)",
                (number, number),
            )
        connection.execute(
            "INSERT INTO completions (proposal_id, model, server_model, parameters, state, finish,"
            " error, tokens_input, tokens_cached, tokens_output, tokens_reasoning, sent_at,"
            " prompt_blob) VALUES (2, 'm', '', '{}', 'received', '', '', 0, 0, 0, 0, 0, 1)"
        )
    with open_store(str(path)) as store:
        assert [each.model for each in store.ended(1, "")] == ["", "m"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (
            VERSION,
        )


def test_calls_of_older_runs_have_counted_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0003", monkeypatch)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(
            "INSERT INTO completions (proposal_id, model, server_model, parameters, state, finish,"
            " error, tokens_input, tokens_cached, tokens_output, tokens_reasoning, sent_at,"
            " prompt_blob) VALUES (2, 'm', '', '{}', 'received', '', '', 7, 0, 5, 0, 0, 1)"
        )
    open_store(str(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        columns = "tokens_input, tokens_output, tokens_written, tokens_assumed"
        assert connection.execute(f"SELECT {columns} FROM completions").fetchall() == [(7, 5, 0, 0)]
