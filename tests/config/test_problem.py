"""Problem folders: what loads, what every mistake says, and what the hash depends on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evolve.config import problem as problem_module
from evolve.config.problem import Problem, list_problems, load_problem
from evolve.core.errors import ConfigError
from evolve.core.limits import Limits
from evolve.core.measures import Figure, Measure, Objective

YAML = """\
title: Bins
seed_program: seed.py
entrypoint: pack
evaluator: ./evaluate.py:Bins
evaluator_options: {size: 3}
objective: {name: bins, direction: minimize, offset: 100}
measures:
  - {name: spread, low: 0, high: 1, cells: 4}
limits: {wall_s: 2}
record: {value: 7, source: "somebody, 1999"}
baselines:
  - {name: first fit, program: first.py}
"""
FILES = {
    "problem.yaml": YAML,
    "prompt.md": "Pack the bins.\n",
    "seed.py": "def pack(items):\n    return []\n",
    "first.py": "def pack(items):\n    return items\n",
    "harness.py": "def run(function, **inputs):\n    return function(**inputs)\n",
    "evaluate.py": "import helper\nraise RuntimeError('must not be run')\nclass Bins: ...\n",
    "helper.py": "def f():\n    import deep\n",
    "deep.py": "X = 1\n",
    "README.md": "About.\n",
}


def _write(place: Path, **changes: str | None) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **changes}.items():
        if text is not None:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return _write(tmp_path / "bins")


def _fail(place: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_problem(str(place))
    return caught.value


def test_a_folder_becomes_a_problem_without_running_anything(place: Path) -> None:
    problem = load_problem("bins", place.parent)
    assert problem.id == "bins"
    assert problem.title == "Bins"
    assert problem.statement == "Pack the bins."
    assert dict(problem.seed_program.files) == {"seed.py": FILES["seed.py"]}
    assert problem.entrypoint == "pack"
    assert problem.evaluator == "./evaluate.py:Bins"
    assert problem.evaluator_options == {"size": 3}
    assert problem.objective == Objective("bins", "minimize", 100.0)
    assert problem.measures == (Measure("spread", 0.0, 1.0, 4),)
    assert problem.limits == Limits(wall_s=2.0)
    assert problem.record == Figure(7.0, "somebody, 1999")
    assert problem.harness == FILES["harness.py"]
    assert [baseline.name for baseline in problem.baselines] == ["first fit"]
    assert load_problem(str(place)).hash == problem.hash


def test_a_program_may_be_a_folder(place: Path) -> None:
    _write(
        place,
        **{
            "problem.yaml": YAML.replace("seed.py", "seed")
            .replace("pack\n", "main.py:pack\n")
            .replace("first.py", "first"),
            "seed/main.py": "from lib.pack import pack\n",
            "seed/lib/pack.py": "def pack(): ...\n",
            "seed/.hidden": "x",
            "first/main.py": "async def pack(): ...\n",
        },
    )
    (place / "seed" / "__pycache__").mkdir()
    (place / "seed" / "__pycache__" / "main.pyc").write_bytes(b"\xff\xfe")
    problem = load_problem(str(place))
    assert list(problem.seed_program.files) == ["lib/pack.py", "main.py"]
    (place / "seed" / "link.py").symlink_to(place / "seed.py")
    assert "no symbolic links" in str(_fail(place))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt.md": " \n"}, "prompt.md: say here, for models, what is to be solved"),
        ({"seed.py": "def pakc(): ...\n"}, "problem.yaml:3:13: no function 'pack' in the program"),
        ({"seed.py": "def pakc(): ...\n"}, "did you mean 'pakc'?"),
        ({"seed.py": "def pack(:\n"}, "seed.py:1:10: not valid Python: invalid syntax"),
        ({"seed.py": "x = 1\0\n"}, "not valid Python: source code string cannot contain null"),
        ({"seed.py": "# EVOLVE-BLOCK-START\n"}, "is never closed by EVOLVE-BLOCK-END"),
        ({"first.py": "x = 1\n"}, "no function 'pack' in the program"),
        ({"harness.py": "x = 1\n"}, "harness.py: a harness defines run(function, **inputs)"),
        ({"evaluate.py": "class Bin: ...\n"}, "evaluate.py has no 'Bins'; did you mean 'Bin'?"),
        ({"evaluate.py": "class Bins(\n"}, "evaluate.py:1:11: not valid Python"),
    ],
)
def test_a_wrong_file_is_named(place: Path, changes: dict[str, str], message: str) -> None:
    assert message in str(_fail(_write(place, **changes)))


@pytest.mark.parametrize(
    ("old", "new", "position", "message"),
    [
        ("seed.py", "sed.py", (2, 15), "no such file; did you mean 'seed.py'?"),
        ("seed.py", "../bins2/seed.py", (2, 15), "must lie inside the problem's folder"),
        ("seed.py", "/etc/hostname", (2, 15), "must lie inside the problem's folder"),
        ("first.py", "frist.py", (12, 32), "no such file; did you mean 'first.py'?"),
        ("pack\n", "other.py:pack\n", (3, 13), "the program has no file other.py; known: seed.py"),
        ("./eval", "./evil", (4, 12), "did you mean 'evaluate.py'?"),
        ("./evaluate.py:Bins", "nowhere", (4, 12), "'nowhere' is none of the evaluators"),
        ("./evaluate.py:Bins", "sys:path", (4, 12), "the source of sys:path is not to be found"),
        ("offset: 100", "offset: .inf", (6, 54), "objective.offset must be a finite number"),
        ("name: spread", "name: ''", (8, 12), "must not be empty"),
        ("high: 1", "high: 0", (8, 5), "low (0.0) must be below high (0.0)"),
        ("cells: 4", "cells: 0", (8, 44), "must be greater than or equal to 1, not 0"),
        ("direction: minimize", "direction: min", (6, 36), "'maximize' or 'minimize', not \"min\""),
        ("title: Bins\n", "titel: Bins\n", (1, 1), "did you mean 'title'?"),
    ],
)
def test_a_mistake_in_problem_yaml_is_shown_where_it_is(
    place: Path, old: str, new: str, position: tuple[int, int], message: str
) -> None:
    assert old in YAML
    error = _fail(_write(place, **{"problem.yaml": YAML.replace(old, new)}))
    assert message in str(error)
    assert error.path == str(place / "problem.yaml")
    assert (error.line, error.column) == position


def test_missing_parts_are_named(place: Path) -> None:
    (place / "prompt.md").unlink()
    assert "prompt.md: no such file" in str(_fail(place))
    (place / "problem.yaml").unlink()
    assert "has no problem.yaml" in str(_fail(place))
    shutil.rmtree(place)
    assert "is no bundled problem and no folder" in str(_fail(place))


def test_a_file_of_a_program_has_a_sane_size(place: Path) -> None:
    (place / "seed.py").write_bytes(b"#" * (1024 * 1024 + 1))
    assert "at most 1048576 are read" in str(_fail(place))
    (place / "seed.py").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(_fail(place))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("problem.yaml", "size: 3", "size: 4"),
        ("problem.yaml", "wall_s: 2", "wall_s: 3"),
        ("problem.yaml", "minimize", "maximize"),
        ("problem.yaml", "name: spread", "name: width"),
        ("problem.yaml", "limits: {", "limits: {gpus: 1, "),
        ("evaluate.py", "class", "\nclass"),
        ("helper.py", "deep", "deep as d"),
        ("deep.py", "1", "2"),
        ("harness.py", "return", "return 1 and"),
    ],
)
def test_the_hash_changes_with_what_can_change_a_score(
    place: Path, name: str, old: str, new: str
) -> None:
    before = load_problem(str(place)).hash
    assert old in FILES[name]
    _write(place, **{name: FILES[name].replace(old, new)})
    assert load_problem(str(place)).hash != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("problem.yaml", "title: Bins", "title: Boxes"),
        ("problem.yaml", "high: 1, cells: 4", "high: 2, cells: 9"),
        ("problem.yaml", "value: 7", "value: 6"),
        ("problem.yaml", "offset: 100", "offset: 100, unit: s"),
        ("seed.py", "[]", "[1]"),
        ("first.py", "items\n", "[]\n"),
        ("prompt.md", "Pack", "Fill"),
        ("README.md", "About", "More about"),
    ],
)
def test_the_hash_does_not_change_with_the_rest(place: Path, name: str, old: str, new: str) -> None:
    before = load_problem(str(place)).hash
    text = FILES[name].replace(old, new)
    assert text != FILES[name]
    _write(place, **{name: text})
    assert load_problem(str(place)).hash == before


def test_the_hash_does_not_depend_on_where_the_folder_lies(place: Path, tmp_path: Path) -> None:
    other = shutil.copytree(place, tmp_path / "elsewhere" / "boxes")
    assert load_problem(str(other)).hash == load_problem(str(place)).hash


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _write(tmp_path / "library" / "bins")
    monkeypatch.setattr(problem_module, "bundled", lambda _: tmp_path / "library")
    return tmp_path / "library"


def test_bundled_problems_have_names(library: Path, tmp_path: Path) -> None:
    assert load_problem("bins").folder == library / "bins"
    mine = _write(tmp_path / "bins", **{"prompt.md": "Mine."})
    assert load_problem("bins", tmp_path).folder == library / "bins"
    assert load_problem("./bins", tmp_path).folder.resolve() == mine
    with pytest.raises(
        ConfigError, match="'bin' is no bundled problem and no folder; did you mean"
    ):
        load_problem("bin", tmp_path)


def test_a_broken_problem_is_listed_with_its_error(library: Path) -> None:
    _write(library / "worse", **{"seed.py": "x"})
    (library / "no_problem").mkdir()
    (name, good), (bad_name, bad) = list_problems()
    assert (name, bad_name) == ("bins", "worse")
    assert isinstance(good, Problem)
    assert isinstance(bad, ConfigError)
    assert "no function 'pack'" in str(bad)
