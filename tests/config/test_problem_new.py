"""Problems made from templates: each works as it is, and its own tests pass."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.problem import load_problem
from evolve.config.problem_new import TEMPLATES, make_problem
from evolve.core.errors import ConfigError
from evolve.engine.check import check_problem


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_problem_has_all_that_a_problem_has(template: str, tmp_path: Path) -> None:
    files = make_problem(tmp_path / "mine", template)
    names = {str(file.relative_to(tmp_path / "mine")) for file in files}
    assert {"README.md", "evaluate.py", "problem.yaml", "prompt.md", "test_problem.py"} <= names
    problem = load_problem(str(tmp_path / "mine"))
    assert 2 <= len(problem.measures) <= 3
    assert problem.seed_program.regions
    readme = (tmp_path / "mine" / "README.md").read_text()
    assert readme.startswith(f"# mine\n\n{problem.title}.\n")
    assert "$" not in readme


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_tests_of_a_new_problem_pass(template: str, tmp_path: Path) -> None:
    make_problem(tmp_path / "mine", template)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    done = subprocess.run(
        command, cwd=tmp_path / "mine", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_problem_holds_against_hostile_outputs_and_programs(
    template: str, tmp_path: Path
) -> None:
    if template == "any-language":
        assert shutil.which("g++"), "this test needs a C++ compiler"
    make_problem(tmp_path / "mine", template)
    checked = check_problem(load_problem(str(tmp_path / "mine")))
    assert [each for each in checked.findings if each.level in ("error", "warning")] == []


@pytest.mark.slow
@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "any-language"])
def test_a_new_problem_is_searched_as_it_is(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_problem(tmp_path / "mine", template)
    arguments = ["run", "./mine", "--set", "stop.evaluations=12", "--db", "mine.db"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = CliRunner().invoke(app, ["best", "--db", "mine.db"])
    assert "EVOLVE-BLOCK-START" in found.output


def test_the_command_says_what_was_made_and_what_is_next(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    result = CliRunner().invoke(app, ["problem", "new", str(place), "--template", "math"])
    assert result.exit_code == 0
    assert "seed.py" in result.output
    assert f"evolve problem check {place}" in result.output
    again = CliRunner().invoke(app, ["problem", "new", str(place)])
    assert isinstance(again.exception, ConfigError)
    assert "exists already" in str(again.exception)
    other = CliRunner().invoke(app, ["problem", "new", str(tmp_path / "b"), "--json"])
    assert json.loads(other.stdout)["template"] == "heuristic"


def test_an_unknown_template_suggests_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'kernel'"):
        make_problem(tmp_path / "mine", "kernels")
    assert not (tmp_path / "mine").exists()


def test_templates_are_no_bundled_problems() -> None:
    listed = CliRunner().invoke(app, ["problem", "list", "--json"])
    titles = {each["title"] for each in json.loads(listed.stdout)}
    for template in Path("problems/_templates").glob("*/problem.yaml"):
        assert yaml.safe_load(template.read_text())["title"] not in titles
