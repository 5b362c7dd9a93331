"""What a problem's programs run in and by: images and commands in problem.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config.problem import Problem, load_problem
from evolve.core.command import Command
from evolve.core.errors import ConfigError

YAML = """\
title: Bins
seed_program: pack.cpp
evaluator: ./evaluate.py:Bins
objective: {name: bins}
measures:
  - {name: spread, low: 0, high: 1, cells: 4}
"""
COMMAND = "command: {run: [./pack], build: [g++, -o, pack, pack.cpp]}\n"


def load(folder: Path, more: str, **files: str) -> Problem:
    files = {
        "prompt.md": "Pack the bins.",
        "pack.cpp": "// EVOLVE-BLOCK-START\nint main() {}\n// EVOLVE-BLOCK-END\n",
        "evaluate.py": "class Bins: ...\n",
        "problem.yaml": YAML + more,
    } | {name.replace("_", "."): text for name, text in files.items()}
    for name, text in files.items():
        (folder / name).write_text(text)
    return load_problem(str(folder))


def test_a_command_takes_the_place_of_an_entrypoint(tmp_path: Path) -> None:
    problem = load(tmp_path, COMMAND)
    assert problem.entrypoint == ""
    assert problem.command == Command(("./pack",), ("g++", "-o", "pack", "pack.cpp"))
    assert not problem.image.given
    faster = load(tmp_path, COMMAND.replace("g++", "g++, -O2"))
    assert faster.hash != problem.hash


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "either an entrypoint, or a command"),
        (COMMAND + "entrypoint: pack\n", "either an entrypoint, or a command"),
        ("command: {build: [make]}\n", "missing key 'run' in command"),
        ("command: {run: []}\n", "command.run needs at least 1 entry"),
        (COMMAND + "image: a:1\ndockerfile: Dockerfile\n", "give one of image, dockerfile"),
        (COMMAND + "image: a:1\nsystem_packages: [g++]\n", "give one of image, dockerfile"),
        (COMMAND + "dockerfile: nothing\n", "no such file"),
        (COMMAND + "requirements: nothing.txt\n", "no such file"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, more)


def test_a_command_takes_no_harness(tmp_path: Path) -> None:
    harness = "def run(function, **inputs): return function(**inputs)\n"
    with pytest.raises(ConfigError, match=r"takes no harness\.py"):
        load(tmp_path, COMMAND, harness_py=harness)


def test_what_an_image_is_made_from_is_part_of_what_scores_mean(tmp_path: Path) -> None:
    plain = load(tmp_path, COMMAND)
    wanted = load(
        tmp_path,
        COMMAND + "requirements: needs.txt\n",
        needs_txt="# two\nnumpy>=2  # or so\n\nscipy",
    )
    assert wanted.image.requirements == ("numpy>=2", "scipy")
    listed = load(tmp_path, COMMAND + "requirements: [numpy>=2, scipy]\n")
    assert listed.image == wanted.image
    built = load(tmp_path, COMMAND + "dockerfile: Dockerfile\n", Dockerfile="FROM a\n")
    assert built.image.dockerfile == (tmp_path / "Dockerfile").resolve()
    rebuilt = load(tmp_path, COMMAND + "dockerfile: Dockerfile\n", Dockerfile="FROM b\n")
    named = load(tmp_path, COMMAND + "image: solver:2\n")
    assert listed.hash == wanted.hash
    assert len({each.hash for each in (plain, wanted, built, rebuilt, named)}) == 5


def test_options_of_pip_are_no_requirements(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="packages only, no options: -r other"):
        load(tmp_path, COMMAND + "requirements: needs.txt\n", needs_txt="-r other.txt\n")
