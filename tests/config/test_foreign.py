"""Problems of other projects, imported and evaluated in the process sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.foreign.importing import import_problem, look_at
from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError
from evolve.core.evaluation import Evaluation
from evolve.engine.single import evaluate_file

PROGRAM = """
import math
# EVOLVE-BLOCK-START
def helper():
    return 1
def solve(n=3):
    return [math.sqrt(i) for i in range(n)]
# EVOLVE-BLOCK-END
"""
#: Imports the program, and a class of the other project; runs it once more in a child.
CLASSIC = """
import importlib.util, subprocess, sys
import numpy as np
from openevolve.evaluation_result import EvaluationResult
import helper_beside

def load(path):
    spec = importlib.util.spec_from_file_location("program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def evaluate(program_path):
    values = load(program_path).solve()
    code = f"import numpy; exec(open({program_path!r}).read()); print(len(solve()))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return EvaluationResult(
        metrics={"combined_score": np.float64(sum(values)), "count": int(child.stdout or -1),
                 "extra": helper_beside.EXTRA},
        artifacts={"trace": "looked at everything"},
    )
"""
STAGED = """
def evaluate_stage1(path):
    return {"combined_score": 0.4, "first": 1}
def evaluate_stage2(path):
    return {"combined_score": 0.9, "second": 1}
def evaluate(path):
    raise AssertionError("not when there are stages")
"""
SHINKA = """
import argparse
from shinka.core import run_shinka_eval
def check(result):
    return (len(result) == 4, "four, please")
def together(results):
    return {"combined_score": float(sum(map(sum, results))), "public": {"runs": len(results)},
            "text_feedback": "fine"}
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program_path")
    parser.add_argument("--results_dir")
    given = parser.parse_args()
    run_shinka_eval(program_path=given.program_path, results_dir=given.results_dir,
        experiment_fn_name="solve", num_runs=2, get_experiment_kwargs=lambda i: {"n": 4},
        validate_fn=check, aggregate_metrics_fn=together)
"""
SERVICE = """
import argparse, json, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--program-dir")
parser.add_argument("--output-file")
given = parser.parse_args()
sys.path.insert(0, given.program_dir)
import initial_program
json.dump({"scores": [{"metric": "score", "score": sum(initial_program.solve())}],
           "insights": [{"label": "size", "text": "small"}]}, open(given.output_file, "w"))
"""


def _write(folder: Path, evaluator: str, name: str = "evaluator.py", config: str = "") -> Path:
    folder.mkdir()
    (folder / "initial_program.py").write_text(PROGRAM)
    (folder / name).write_text(evaluator)
    (folder / "helper_beside.py").write_text("EXTRA = 7\n")
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def _evaluated(source: Path, place: Path) -> Evaluation:
    import_problem(look_at(source), place)
    return evaluate_file(str(place), place / "initial_program.py")


def test_a_function_that_gets_a_path_runs_unchanged(tmp_path: Path) -> None:
    source = _write(tmp_path / "theirs", CLASSIC)
    evaluation = _evaluated(source, tmp_path / "ours")
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == pytest.approx(1 + 2**0.5)
    assert evaluation.score.metrics["count"] == 3
    assert evaluation.score.metrics["extra"] == 7
    assert evaluation.score.artifacts["trace"] == "looked at everything"


def test_stages_are_run_while_they_are_passed(tmp_path: Path) -> None:
    strict = "evaluator: {cascade_thresholds: [0.5]}\n"
    stopped = _evaluated(_write(tmp_path / "a", STAGED, config=strict), tmp_path / "a2")
    assert stopped.score is not None, stopped.message
    assert dict(stopped.score.metrics) == {"combined_score": 0.4, "first": 1.0}
    mild = "evaluator: {cascade_thresholds: [0.3], timeout: 20}\n"
    passed = _evaluated(_write(tmp_path / "b", STAGED, config=mild), tmp_path / "b2")
    assert passed.score is not None
    assert dict(passed.score.metrics) == {"combined_score": 0.9, "first": 1.0, "second": 1.0}
    assert load_problem(str(tmp_path / "b2")).limits.wall_s == 20


@pytest.mark.parametrize("config", ["evaluator:\nprompt:\n", "evaluator: {timeout: }\n", "- odd\n"])
def test_empty_sections_of_a_configuration_say_nothing(tmp_path: Path, config: str) -> None:
    found = look_at(_write(tmp_path / "theirs", STAGED, config=config))
    assert (found.statement, found.wall_s, found.thresholds) == ("", 300.0, (0.5, 0.75, 0.9))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("prompt: text\n", r"config\.yaml: prompt: .* dictionary$"),
        ("evaluator: {timeout: .inf}\n", r"evaluator\.timeout: .*finite"),
        ("evaluator: {timeout: soon}\n", r"config\.yaml: evaluator\.timeout: .* number"),
        (
            "evaluator: {cascade_thresholds: [.nan]}\n",
            r"evaluator\.cascade_thresholds\.0: .*finite",
        ),
    ],
)
def test_values_that_make_no_sense_are_told_with_their_place(
    tmp_path: Path, config: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        look_at(_write(tmp_path / "theirs", STAGED, config=config))


def test_an_evaluator_that_is_no_python_is_refused(tmp_path: Path) -> None:
    source = _write(tmp_path / "theirs", "def evaluate(:\n")
    with pytest.raises(ConfigError, match=r"evaluator\.py"):
        look_at(source, kind="openevolve")


def test_an_evaluator_that_writes_result_files_runs_unchanged(tmp_path: Path) -> None:
    evaluation = _evaluated(_write(tmp_path / "theirs", SHINKA, "evaluate.py"), tmp_path / "ours")
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == pytest.approx(2 * (1 + 2**0.5 + 3**0.5))
    assert evaluation.score.metrics["runs"] == 2
    assert evaluation.score.artifacts["text_feedback"] == "fine"


def test_what_it_calls_incorrect_has_no_score(tmp_path: Path) -> None:
    wrong = SHINKA.replace('{"n": 4}', '{"n": 5}')
    evaluation = _evaluated(_write(tmp_path / "theirs", wrong, "evaluate.py"), tmp_path / "ours")
    assert evaluation.score is None
    assert evaluation.message == "four, please"


def test_an_evaluator_of_the_service_runs_unchanged(tmp_path: Path) -> None:
    evaluation = _evaluated(_write(tmp_path / "theirs", SERVICE), tmp_path / "ours")
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == pytest.approx(1 + 2**0.5)
    assert "small" in evaluation.score.artifacts["insights"]


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    source = _write(tmp_path / "theirs", "def evaluate(p):\n    return {'combined_score': 1e999}\n")
    evaluation = _evaluated(source, tmp_path / "ours")
    assert evaluation.score is None
    assert "not a finite number" in evaluation.message


def test_the_mark_is_part_of_the_objectives_name(tmp_path: Path) -> None:
    import_problem(look_at(_write(tmp_path / "theirs", CLASSIC)), tmp_path / "ours")
    assert load_problem(str(tmp_path / "ours")).objective.name == "combined_score (forgeable)"
    described = yaml.safe_load((tmp_path / "ours" / "problem.yaml").read_text())
    assert described["objective"]["name"] == "combined_score"


def test_the_function_that_the_evaluator_names_must_be_defined(tmp_path: Path) -> None:
    assert look_at(_write(tmp_path / "theirs", CLASSIC)).entrypoint == "solve"


def test_what_cannot_be_imported_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        look_at(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="name the evaluator by --evaluator"):
        look_at(tmp_path / "empty")
    strange = _write(tmp_path / "strange", "x = 1\n")
    with pytest.raises(ConfigError, match=r"cannot tell how .* is called"):
        look_at(strange)
    large = _write(tmp_path / "large", CLASSIC)
    (large / "data.csv").write_text("1\n" * 600_000)
    with pytest.raises(ConfigError, match=r"data\.csv is the largest"):
        import_problem(look_at(large), tmp_path / "large2")
    assert not (tmp_path / "large2").exists()


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    source = _write(tmp_path / "theirs", CLASSIC, config="prompt: {system_message: Do well.}\n")
    arguments = ["import", str(source), "-o", str(tmp_path / "ours"), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["kind"] == "openevolve"
    assert found["packages"] == ["numpy"]
    assert (tmp_path / "ours" / "prompt.md").read_text().startswith("Do well.")
    again = CliRunner().invoke(app, arguments[:-1])
    assert "exists already" in str(again.exception)
