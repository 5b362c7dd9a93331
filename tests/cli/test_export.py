"""`evolve export` and `evolve best --git` on a finished run."""

from __future__ import annotations

import csv
from pathlib import Path

from evolve.view.ribs import load_ribs
from tests.cli.conftest import Invoke


def test_a_run_is_exported_without_naming_what(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("export", "1", "-o", tmp_path / "out", "--json")

    assert done.code == 0
    assert done.json["rows"]["runs"] == 1
    with (tmp_path / "out/programs.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == done.json["rows"]["programs"] > 16


def test_the_longer_form_does_the_same(invoke: Invoke, tmp_path: Path) -> None:
    invoke("export", "--format", "jsonl", "-o", tmp_path / "one", "--no-texts")
    done = invoke(
        "export", "tables", "latest", "-o", tmp_path / "two", "--format", "jsonl", "--no-texts"
    )

    assert "archive_events" in done.out
    assert {
        each.name: each.read_text() for each in (tmp_path / "one").iterdir()
    } == {each.name: each.read_text() for each in (tmp_path / "two").iterdir()}  # fmt: skip


def test_what_is_there_already_needs_force(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("export", "-o", tmp_path / "out").code == 0
    again = invoke("export", "-o", tmp_path / "out")
    assert (again.code, "--force" in again.err) == (3, True)
    assert invoke("export", "-o", tmp_path / "out", "--force").code == 0


def test_the_ancestry_of_the_best_program_goes_into_a_repository(
    invoke: Invoke, tmp_path: Path
) -> None:
    best = invoke("best", "--json").json
    done = invoke("best", "--git", tmp_path / "repo")

    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"wrote {tmp_path / 'repo'}: ")
    for name, text in best["files"].items():
        assert (tmp_path / "repo" / name).read_text() == text


def test_an_archive_is_written_for_pyribs(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("export", "ribs", "-o", tmp_path / "archive.npz", "--json")

    assert done.json["elites"] == int(load_ribs(tmp_path / "archive.npz").stats.num_elites) > 1
    assert invoke("export", "ribs", "-o", tmp_path / "archive.npz").code == 3


def test_replies_become_preferences_and_the_same_ones_again(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("export", "preferences", "-o", tmp_path / "a.jsonl", "--json")
    invoke("export", "preferences", "-o", tmp_path / "b.jsonl")

    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) == sum(done.json["pairs"].values())
    assert done.json["answers"]["usable"] > 0
    assert (tmp_path / "b.jsonl").read_text().splitlines() == lines
