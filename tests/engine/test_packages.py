"""Packages that scores depend on: kept with a run, told of when they change, never mixed unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.core.errors import InfrastructureError
from evolve.engine.events import Event, ProgramEvaluated, RunStarted
from evolve.engine.run import run
from evolve.store.reader import open_reader
from tests.command import write_config
from tests.fakes import PROBLEM, SEED, write_problem

IMPORTS = """\
        try:
            import toys.parts
        except ImportError:
            pass
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package whose module has another name, for this process to look up."""
    folder = tmp_path / "site" / "toy_box.dist-info"
    folder.mkdir(parents=True)
    (folder / "top_level.txt").write_text("toys\n")
    release(folder, "1.0")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def release(folder: Path, version: str) -> None:
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-box\nVersion: {version}\n")


def configured(folder: Path) -> Path:
    write_problem(
        folder / "parabola",
        problem=PROBLEM["problem.yaml"].rstrip() + "\n        deterministic: true\n        ",
        evaluate=IMPORTS + PROBLEM["evaluate.py"],
        seed=f"import math\n\nimport numpy as np\n\n{SEED}",
    )
    return write_config(folder, order="strict")


def test_a_run_keeps_the_versions_and_a_resumed_one_says_what_moved(
    tmp_path: Path, installed: Path
) -> None:
    config, db = configured(tmp_path), str(tmp_path / "run.db")
    notes: list[tuple[str, ...]] = []

    def stop_early(event: Event) -> None:
        if isinstance(event, RunStarted):
            notes.append(event.notes)
        elif isinstance(event, ProgramEvaluated) and len(notes) < 3:
            raise InfrastructureError("the lights went out")

    for version in ("1.0", "1.0", "2.0"):
        release(installed, version)
        if len(notes) < 2:
            with pytest.raises(InfrastructureError):
                run(config, db=db, observers=[stop_early])
        else:
            run(config, db=db, observers=[stop_early])
    assert notes[:2] == [(), ()]
    assert notes[2][0].startswith(
        "packages that scores depend on have changed since this run began: toy-box 1.0 then, 2.0 "
        "now; scores made with both are compared"
    )
    with open_reader(db) as reader:
        kept = reader.run(1).provenance["packages"]
    assert isinstance(kept, dict)
    assert list(kept) == ["numpy", "toy-box"], "no module of Python's own, and evolve by its name"
    assert kept["toy-box"] == "1.0"


def test_scores_made_with_another_version_are_not_taken_over(
    tmp_path: Path, installed: Path
) -> None:
    config, db = configured(tmp_path), str(tmp_path / "run.db")
    copied = []
    for version in ("1.0", "1.0", "2.0"):
        release(installed, version)
        result = run(config, db=db, new=True)
        with open_reader(db) as reader:
            copied.append(reader.behaviours(result.run_id).copied)
    assert copied[0] == copied[2] == 0 < copied[1]
