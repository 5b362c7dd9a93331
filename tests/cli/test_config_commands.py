"""`evolve config check|show|schema`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evolve.cli.config import app
from evolve.config.file import config_hash, load_run_config
from evolve.core.errors import ConfigError, PluginError

PROBLEM = {
    "problem.yaml": "title: Ones\nseed_program: seed.py\nentrypoint: f\n"
    "evaluator: ./evaluate.py:Ones\nobjective: {name: ones}\n"
    "measures: [{name: code_length, low: 0, high: 10}]\n",
    "prompt.md": "Return one.\n",
    "seed.py": "# EVOLVE-BLOCK-START\ndef f():\n    return 0\n# EVOLVE-BLOCK-END\n",
    "evaluate.py": "raise RuntimeError('never imported')\nclass Ones: ...\n",
}
CONFIG = """\
problem: ones
proposers:
  - {kind: genetic}
stop: {evaluations: 10}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "ones").mkdir()
    for name, text in PROBLEM.items():
        (tmp_path / "ones" / name).write_text(text)
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path / "c.yaml"


def _invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def _check(path: Path, *settings: str) -> str:
    return _invoke("check", path, *[part for each in settings for part in ("--set", each)])


def _fail(path: Path, *settings: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        _check(path, *settings)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_good_configuration_is_summed_up(path: Path) -> None:
    output = _check(path)
    assert "ones: Ones" in output
    assert "evaluations=10" in output
    assert output.rstrip().endswith(f"OK: {path}")


@pytest.mark.parametrize(
    ("old", "new", "position", "message"),
    [
        ("problem: ones", "problem: twos", (1, 10), "'twos' is no bundled problem and no folder"),
        ("genetic", "gentic", (3, 5), "none of the proposers; did you mean 'genetic'?"),
        ("genetic", "genetic, options: {mutatoin: 1}", (3, 5), "has no option 'mutatoin'"),
        ("genetic", "diff", (3, 5), "none is configured"),
        ("stop:", "selection: {kind: rnak}\nstop:", (4, 12), "did you mean 'rank'?"),
        ("stop:", "selection: {options: {x: 1}}\nstop:", (4, 12), "has no option 'x'"),
        ("stop:", "sandbox: {kind: dokcer}\nstop:", (4, 10), "did you mean 'docker'?"),
        ("stop:", "models: [{id: opnai/x}]\nstop:", (4, 15), "did you mean 'openai'?"),
        ("stop:", "models: [{id: a/x}, {id: a/x}]\nstop:", (4, 15), "'a' is none of the models"),
        ("evaluations", "evals", (4, 8), "unknown key 'evals' in stop"),
    ],
)
def test_a_wrong_name_is_shown_where_it_is(
    path: Path, old: str, new: str, position: tuple[int, int], message: str
) -> None:
    path.write_text(CONFIG.replace(old, new))
    error = _fail(path)
    assert message in str(error)
    assert (error.path, error.line, error.column) == (str(path), *position)


def test_an_override_is_blamed_for_its_own_mistake(path: Path) -> None:
    assert str(_fail(path, "sandbox.kind=dokcer")).startswith("--set sandbox.kind=dokcer: ")


def test_two_models_of_one_id_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert "same id" in str(_fail(path, "models=[{id: openai/x}, {id: openai/x}]"))


def test_what_the_machine_lacks_is_only_noted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    output = _check(path, "models=[{id: openai/x}]", "proposers=[{kind: diff}]")
    assert "note: " in output
    assert "OPENAI_API_KEY" in output
    assert f"OK: {path}" in output


def test_a_broken_plug_in_file_shows_its_line(path: Path) -> None:
    (path.parent / "mine.py").write_text("x = 1\n1 / 0\n")
    with pytest.raises(PluginError, match=r"mine\.py:2:1: ZeroDivisionError"):
        _check(path, "proposers=[{kind: './mine.py:Mine'}]")


def test_show_fills_in_defaults_and_loads_again(path: Path, tmp_path: Path) -> None:
    output = _invoke("show", path, "--set", "seed=7")
    assert yaml.safe_load(output)["selection"]["kind"] == "adaptive"
    (tmp_path / "again.yaml").write_text(output)
    again = load_run_config(tmp_path / "again.yaml").config
    assert again == load_run_config(path, ["seed=7"]).config


def test_show_as_json_has_stable_keys(path: Path) -> None:
    shown = json.loads(_invoke("show", path, "--json"))
    config = load_run_config(path).config
    assert list(shown) == ["path", "name", "hash", "config"]
    assert shown["hash"] == config_hash(config)
    assert shown["name"] == "c"
    assert shown["config"]["stop"]["evaluations"] == 10


@pytest.mark.parametrize(("arguments", "key"), [((), "proposers"), (("--problem",), "evaluator")])
def test_the_schema_refuses_unknown_keys(arguments: Sequence[str], key: str) -> None:
    schema = json.loads(_invoke("schema", *arguments))
    assert key in schema["required"]
    assert schema["additionalProperties"] is False


def test_check_refuses_the_operator_of_another_language(tmp_path: Path) -> None:
    config = tmp_path / "cpp.yaml"
    config.write_text("problem: tsp_cpp\nproposers: [{kind: genetic}]\nstop: {evaluations: 3}\n")
    with pytest.raises(ConfigError, match="the genetic operator edits Python"):
        _invoke("check", config)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ((), "grid, code_length (10)"),
        (
            ("archive.measures=[{name: code_length, low: 1, high: 9, cells: 4, scale: log}]",),
            "grid, code_length (4, log)",
        ),
        (("archive={kind: cvt, cells: 3, depth: 2}",), "3 cells; 2 elites in a cell"),
        (("archive={objectives: [{name: ast_nodes}]}",), "fronts over ast_nodes"),
        (("archive={kind: novelty, threshold: 0.2}",), "novelty, code_length"),
    ],
)
def test_the_archive_is_said_in_one_line(path: Path, settings: tuple[str, ...], line: str) -> None:
    assert line in _check(path, *settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("archive={cells: 9}", "archive: cells is for kind cvt"),
        ("archive={threshold: 0.1}", "threshold and neighbors are for kind novelty, not grid"),
        ("archive={kind: novelty, depth: 2}", "a niche of novelty holds one elite"),
        ("archive={depth: 1, objectives: [{name: ast_nodes}]}", "with objectives depth is at leas"),
        ("archive={objectives: [{name: ones}]}", "ones is the objective already"),
        ("archive={kind: novelty, threshold: 3}", "threshold is 3.0, must be above 0 and at most"),
        (
            "archive.measures=[{name: code_length, low: 0, high: 9, scale: log}]",
            "scale log needs low above 0, it is 0; use sqrt or linear, or raise low",
        ),
    ],
)
def test_an_archive_that_cannot_be_teaches(path: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _check(path, setting)


def test_check_says_what_the_machine_lacks_for_the_slots(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "cannot be pinned" not in _check(path)
    output = _check(path, "slots=5000", "pool.pin_cpus=true")
    assert "5000 slots of 1 CPUs each cannot be pinned" in " ".join(output.split())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    problem = path.parent / "ones" / "problem.yaml"
    problem.write_text(problem.read_text() + "limits: {gpus: 1}\ntimed: true\n")
    assert "limits: {gpus: 1}" in _check(path)
    path.write_text(CONFIG + "pool: {gpu_slots: 2}\n")
    with pytest.raises(ConfigError, match="never share a GPU") as caught:
        _check(path)
    assert caught.value.line == path.read_text().count("\n")
