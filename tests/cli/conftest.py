"""A database with one small finished run, and the command in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evolve.cli.app import main
from evolve.engine.run import run
from tests.command import write_config


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Invoke = Callable[..., Outcome]


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ``evolve.db`` holds a run with a recorded model and the genetic operator."""
    folder = tmp_path_factory.mktemp("searched")
    lines = [
        {"text": f"Idea {number}.\n```python\n# EVOLVE-BLOCK-START\ndef f(x):\n"
         f"    return x * x + {number}\n# EVOLVE-BLOCK-END\n```\n"}
        for number in range(100)
    ]  # fmt: skip
    (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = write_config(
        folder,
        models=[{"id": "replay/replies.jsonl"}],
        proposers=[{"kind": "genetic"}, {"kind": "rewrite"}],
        slots=1,
        proposals=1,
        stop={"evaluations": 16},
    )
    run(config, db=str(folder / "evolve.db"))
    return folder


@pytest.fixture
def copied(searched: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run's database, free to be written to."""
    return Path(shutil.copy(searched / "evolve.db", tmp_path / "copy.db"))


@pytest.fixture
def invoke(
    searched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Invoke:
    """Run `evolve` in the folder of the finished run."""
    monkeypatch.chdir(searched)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("EVOLVE_DB", raising=False)

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["evolve", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return call
