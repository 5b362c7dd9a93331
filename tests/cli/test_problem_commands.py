"""`evolve problem list|show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evolve.cli.problem import app
from evolve.config import problem as problem_module
from evolve.core.errors import ConfigError

FILES = {
    "problem.yaml": "title: Ones [of many]\nfamily: counting\nseed_program: seed.py\n"
    "entrypoint: f\n"
    "evaluator: ./evaluate.py:Ones\nevaluator_options: {n: 3}\n"
    "objective: {name: ones, direction: minimize, offset: 9}\n"
    "measures: [{name: spread, low: 0, high: 0.5, cells: 7}]\n"
    "limits: {wall_s: 3}\nrecord: {value: 2.5, source: folklore}\n"
    "baseline: {value: 8, source: by hand}\n"
    "baselines: [{name: plain, program: plain.py}]\n",
    "prompt.md": "Return [b]one[/b].\n",
    "seed.py": "def f():\n    return 0\n",
    "plain.py": "def f():\n    return 1\n",
    "evaluate.py": "raise RuntimeError('never imported')\nclass Ones: ...\n",
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("ones", "worse"):
        (tmp_path / folder).mkdir()
        for name, text in FILES.items():
            (tmp_path / folder / name).write_text(text)
    (tmp_path / "worse" / "seed.py").write_text("x = 1\n")
    monkeypatch.setattr(problem_module, "bundled", lambda _: tmp_path)
    return tmp_path


def _invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_good_problems_and_what_is_wrong_with_others(library: Path) -> None:
    output = _invoke("list")
    (row,) = [line for line in output.splitlines() if line.strip().startswith("ones")]
    for part in ("Ones [of many]", "counting", "minimize", "8", "2.5"):
        assert part in row
    assert "record of ones: folklore" in output
    assert f"worse cannot be loaded: {library}/worse/problem.yaml:4:13: " in output


def test_list_as_json_has_stable_keys(library: Path) -> None:
    ones, worse = json.loads(_invoke("list", "--json"))
    assert ones == {
        "id": "ones",
        "family": "counting",
        "title": "Ones [of many]",
        "objective": "ones",
        "direction": "minimize",
        "baseline": 8.0,
        "record": 2.5,
        "source": "folklore",
    }
    assert list(worse) == ["id", "error"]


def test_list_can_be_of_one_family(library: Path) -> None:
    assert [row["id"] for row in json.loads(_invoke("list", "--family", "counting", "--json"))] == [
        "ones"
    ]
    with pytest.raises(ConfigError, match="'countin' is no family; did you mean 'counting'"):
        _invoke("list", "--family", "countin")


def test_show_prints_everything(library: Path) -> None:
    output = _invoke("show", "ones")
    for part in (
        "ones: Ones [of many]",
        "Return [b]one[/b].",
        "minimize ones",
        "counting",
        "8 (by hand)",
        "2.5 (folklore)",
        "./evaluate.py:Ones",
        "spread",
        "wall_s",
        "plain",
        "return 0",
        str(library / "ones"),
    ):
        assert part in output


def test_show_as_json_has_stable_keys(library: Path) -> None:
    shown = json.loads(_invoke("show", "ones", "--json"))
    assert list(shown) == [
        "id",
        "title",
        "family",
        "folder",
        "hash",
        "statement",
        "entrypoint",
        "command",
        "image",
        "evaluator",
        "evaluator_options",
        "objective",
        "measures",
        "limits",
        "mode",
        "formula",
        "cascade",
        "record",
        "baseline",
        "harness",
        "seed_program",
        "baselines",
    ]
    assert shown["measures"] == [{"name": "spread", "low": 0.0, "high": 0.5, "cells": 7}]
    assert shown["seed_program"] == {"seed.py": FILES["seed.py"]}
    assert (shown["mode"], shown["formula"]) == ("construct", None)
    assert shown["baselines"] == [{"name": "plain", "files": {"plain.py": FILES["plain.py"]}}]


def test_show_takes_a_folder(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library)
    assert json.loads(_invoke("show", "./ones", "--json"))["id"] == "ones"


def test_an_unknown_problem_suggests_the_nearest(library: Path) -> None:
    with pytest.raises(ConfigError, match=r"'onse' is no bundled problem.*did you mean 'ones'"):
        _invoke("show", "onse")


def test_show_says_what_a_program_is_asked_for_and_pays() -> None:
    assert "0.01 for 100 syntax nodes" in _invoke("show", "grid_tiling")
    shown = json.loads(_invoke("show", "grid_tiling", "--json"))
    assert shown["mode"] == "generalise"
    assert shown["formula"] == {"weight": 0.01, "nodes": 100, "floor_ms": 100.0}
    searched = json.loads(_invoke("show", "circle_packing_26_search", "--json"))
    assert (searched["mode"], searched["formula"]) == ("search", None)
