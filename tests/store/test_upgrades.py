"""Databases of older versions are brought up to date with what is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command

from evolve.archive.spec import ArchiveSpec
from evolve.core.measures import Figure, Measure, Objective
from evolve.store.opening import open_database
from evolve.store.schema import VERSION
from evolve.store.store import open_store


def of_version(path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty database as that version made it."""
    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _: upgrade(config, version))
        patched.setattr("evolve.store.migrate.view_statements", list)
        open_database(str(path), create=True, readonly=False).close()


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


def test_runs_get_the_grid_of_their_measures_and_keep_what_entered_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0003", monkeypatch)
    axes = '[{"name": "x", "low": 0.0, "high": 8.0, "cells": 4}]'
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO runs VALUES (1, 'r', 'p', 0, 'finished', '', 7, 0, 0, 'o', 'maximize', 0,"
            f" '{axes}', 'e', '{{}}', 'c', 'h', '{{}}', NULL, NULL, NULL, NULL, 0)"
        )
        for number in (1, 2):
            connection.execute(
                "INSERT INTO programs (id, run_id, hash, operator, generation, island, summary,"
                " created_at) VALUES (?, 1, ?, 'diff', 0, 0, '', 0)",
                (number, str(number)),
            )
            connection.execute(
                "INSERT INTO evaluations (id, run_id, program_id, stage, evaluator, outcome,"
                " objective, measures, metrics, message, wall_ns, cpu_ns, peak_memory_bytes,"
                " elapsed_s, created_at) VALUES (?, 1, ?, 'search', 'h', 'ok', ?,"
                " '{\"x\": 5.0}', '{}', '', 0, 0, 0, 0, 0)",
                (number, number, float(number)),
            )
            connection.execute(
                "INSERT INTO archive_events (run_id, evaluation_id, program_id, replaced_id,"
                " island, cell, status, fitness, measures)"
                " VALUES (1, ?, ?, ?, 0, 2, ?, ?, '{\"x\": 5.0}')",
                (number, number, *((1, "improve") if number == 2 else (None, "new")), number),
            )
    with open_store(str(path)) as store:
        (archive,) = store.archives(1)
        assert archive.spec == ArchiveSpec((Measure("x", 0.0, 8.0, 4),))
        assert (archive.number, archive.created_at, store.run(1).archive) == (0, 7, 0)
        assert [event.replaced for event in store.archive_events(1)] == [(), (1,)]
        assert [elite.program_id for elite in store.elites(1)] == [2]


def test_scores_of_older_runs_are_made_of_one_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0009", monkeypatch)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO runs (id, name, problem, seed, status, reason, created_at, elapsed_s,"
            " objective, direction, objective_offset, measures, evaluator, config, config_hash,"
            " problem_hash, provenance) VALUES (1, 'r', 'p', 0, 'finished', '', 0, 0, 'o',"
            " 'maximize', 0, '[]', 'e', '{}', 'c', 'h', '{}')"
        )
        connection.execute(
            "INSERT INTO programs (id, run_id, hash, operator, generation, island, summary,"
            " created_at) VALUES (1, 1, 'h', 'seed', 0, 0, '', 0)"
        )
        connection.execute(
            "INSERT INTO evaluations (id, run_id, program_id, stage, evaluator, outcome, objective,"
            " measures, metrics, message, wall_ns, cpu_ns, peak_memory_bytes, elapsed_s,"
            " created_at) VALUES (1, 1, 1, 'search', 'e', 'ok', 2.5, '{}', '{}', '', 0, 0, 0, 0, 0)"
        )
        connection.execute(
            "INSERT INTO archive_events (run_id, evaluation_id, program_id, island, cell, status,"
            " fitness, measures) VALUES (1, 1, 1, 0, 0, 'new', 2.5, '{}')"
        )
    with open_store(str(path)) as store:
        (event,) = store.archive_events(1)
        assert (event.status, event.samples) == ("new", 1)
        fact = next(iter(store.facts(1, "e")))
        assert fact.estimate == (2.5, None, 1)
        assert store.samples(1, "search", "e") == ()


def test_runs_of_before_have_no_unit_and_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0010", monkeypatch)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO runs (id, name, problem, seed, status, reason, created_at, elapsed_s,"
            " objective, direction, objective_offset, measures, evaluator, config, config_hash,"
            " problem_hash, provenance) VALUES (1, 'r', 'p', 0, 'finished', '', 0, 0, 'o',"
            " 'minimize', 2, '[]', 'e', '{}', 'c', 'h', '{}')"
        )
    with open_store(str(path)) as store:
        run = store.run(1)
        assert (run.objective, run.record) == (Objective("o", "minimize", 2.0), None)
        new = replace(
            run,
            objective=Objective("o", "minimize", 2.0, unit="s"),
            record=Figure(0.5, "a paper"),
            measures=(Measure("x", 0.0, 1.0, 2, unit="mm"),),
        )
        kept = store.create_run(new)
        assert (kept.objective, kept.record, kept.measures) == (
            new.objective,
            new.record,
            new.measures,
        )


def test_views_of_older_databases_name_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    of_version(path, "0013", monkeypatch)
    open_store(str(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        for view in ("leaderboard", "elites", "lineage", "failures", "spend_by_model"):
            assert connection.execute(f"SELECT model FROM {view}").fetchall() == []
