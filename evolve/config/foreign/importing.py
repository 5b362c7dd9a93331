"""Make a problem folder out of a problem that was written for another project.

Nothing of it is executed: files are looked at, copied, and described in a ``problem.yaml``.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from evolve.config.foreign import adapter
from evolve.config.problem import MAX_HARNESS_BYTES
from evolve.config.problem_new import check_free
from evolve.config.python_file import parse_python, top_level_names
from evolve.config.text_file import read_text
from evolve.core.errors import ConfigError
from evolve.core.program import START

Kind: TypeAlias = Literal["openevolve", "shinka", "alphaevolve"]

_WALL_S = 300.0
_READ_BYTES = 1 << 26
_SOURCES = (".py", ".json", ".txt", ".csv", ".yaml", ".yml", ".md")
#: Packages the sandbox image has without being asked.
_USUAL = {"numpy", "scipy"}
#: Imported by evaluators and provided by the adapter.
_PROVIDED = {"openevolve", "skydiscover", "shinka"}
_NAMES: Mapping[Kind, tuple[str, ...]] = {
    "openevolve": ("evaluator.py", "evaluate.py"),
    "shinka": ("evaluate.py",),
    "alphaevolve": ("evaluator.py", "evaluate.py", "evaluation.py"),
}
_PROGRAMS = ("initial_program.py", "initial.py", "program.py", "seed.py", "main.py")


class _Judging(BaseModel):
    """How the other project evaluates, as far as it matters here."""

    timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cascade_evaluation: bool = True
    cascade_thresholds: tuple[FiniteFloat, ...] = (0.5, 0.75, 0.9)


class _Prompt(BaseModel):
    system_message: str | None = None


class _Settings(BaseModel):
    """What is read of the other project's configuration; sections may be empty."""

    evaluator: _Judging | None = None
    prompt: _Prompt | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A problem of another project, as far as it was found out.

    Attributes:
        kind: How its evaluator is called.
        evaluator: Its file.
        program: The program it starts from.
        entrypoint: A function of that program that the evaluator names, or the first one.
        metric: The number to maximise.
        statement: What its models are told, or empty.
        wall_s: How long an evaluation may take.
        thresholds: What each stage of a cascade must reach; None without one.
        packages: What it imports beyond the standard library.
        notes: What somebody should look at.
    """

    kind: Kind
    evaluator: Path
    program: Path
    entrypoint: str
    metric: str
    statement: str = ""
    wall_s: float = _WALL_S
    thresholds: Sequence[float] | None = None
    packages: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def look_at(
    folder: Path,
    *,
    kind: Kind | None = None,
    evaluator: str | None = None,
    program: str | None = None,
    metric: str | None = None,
) -> Foreign:
    """Find out what a folder of another project holds; arguments settle what is given.

    Args:
        folder: With an evaluator and an initial program, both in Python, and perhaps a config.yaml.
        kind: How the evaluator is called; default: by what its source says.
        evaluator: Its file name; default: the usual ones.
        program: The initial program's file name; default: the usual ones.
        metric: The number to maximise; default: ``combined_score``, or ``score``.

    Raises:
        ConfigError: something is not found, or is not Python.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name the one with evaluator and program")
    place = _one_of(folder, (evaluator,) if evaluator else _NAMES["alphaevolve"], "evaluator")
    source = read_text(place, MAX_HARNESS_BYTES)
    start = _one_of(folder, (program,) if program else _PROGRAMS, "program")
    text = read_text(start, MAX_HARNESS_BYTES)
    kind = kind or _kind_of(source, place)
    settings = _settings(folder)
    judging, prompt = settings.evaluator or _Judging(), settings.prompt or _Prompt()
    staged = "def evaluate_stage1" in source and judging.cascade_evaluation
    notes = [] if START in text else ["the program has no EVOLVE-BLOCK: all of it may change"]
    return Foreign(
        kind=kind,
        evaluator=place,
        program=start,
        entrypoint=_entrypoint(text, source, start),
        metric=metric or ("score" if kind == "alphaevolve" else _metric(source)),
        statement=prompt.system_message or "",
        wall_s=judging.timeout or _WALL_S,
        thresholds=judging.cascade_thresholds if kind == "openevolve" and staged else None,
        packages=tuple(sorted(_packages(folder, {place: source, start: text}))),
        notes=tuple(notes),
    )


def import_problem(found: Foreign, place: Path) -> list[Path]:
    """Write a problem folder for what was found.

    Args:
        found: What to import.
        place: The folder, which must not exist.

    Returns:
        The files written, in order.

    Raises:
        ConfigError: the folder exists, or the evaluator's files are too large to travel with it.
    """
    check_free(place)
    files = {
        "harness.py": _harness(found),
        found.program.name: read_text(found.program, MAX_HARNESS_BYTES),
        "prompt.md": _statement(found),
        "problem.yaml": _description(found, place.name),
        "README.md": _readme(found, place.name),
    }
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return sorted(place / name for name in files)


def _harness(found: Foreign) -> str:
    """Return the adapter with its settings and the evaluator's files behind it."""
    folder = found.evaluator.parent
    carried = {
        path.relative_to(folder).as_posix(): read_text(path, _READ_BYTES)
        for path in _carried(folder, found)
    }
    settings: dict[str, Any] = {
        "kind": found.kind,
        "program": found.program.name,
        "evaluator": found.evaluator.name,
        "thresholds": list(found.thresholds) if found.thresholds is not None else None,
    }
    text = (
        Path(adapter.__file__).read_text(encoding="utf-8")
        + f"\n\nSETTINGS.update({settings!r})\n"
        + "".join(f"FILES[{name!r}] = {text!r}\n" for name, text in carried.items())
    )
    if len(text.encode()) > MAX_HARNESS_BYTES:
        largest = max(carried, key=lambda name: len(carried[name]))
        raise ConfigError(
            f"the evaluator's files come to {len(text) / 2**20:.1f} MiB, {largest} is the largest, "
            f"and {MAX_HARNESS_BYTES / 2**20:g} MiB travel with a problem: put data into the image "
            "and read it from there"
        )
    return text


def _carried(folder: Path, found: Foreign) -> Iterator[Path]:
    """Yield the evaluator and the files beside it that it may import or read."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith((".", "_")) and part != "__init__.py" for part in parts)
        if path.is_file() and not hidden and path.suffix in _SOURCES and path != found.program:
            yield path


def _statement(found: Foreign) -> str:
    task = found.statement.strip() or "Improve the program."
    return f"{task}\n\nThe score is `{found.metric}`; larger is better.\n"


def _description(found: Foreign, name: str) -> str:
    """Return the text of problem.yaml."""
    described: dict[str, Any] = {
        "title": f"{name}, judged by its own evaluator ({found.kind})",
        "family": "imported",
        "seed_program": found.program.name,
        "entrypoint": found.entrypoint,
        "evaluator": "foreign:Foreign",
        "evaluator_options": {"metric": found.metric},
        "forgeable": True,
        "objective": {"name": found.metric, "direction": "maximize"},
        "measures": [
            {"name": "code_length", "low": 0, "high": 10000, "cells": 20},
            {"name": "cyclomatic_complexity", "low": 0, "high": 60, "cells": 20},
        ],
        "limits": {"wall_s": found.wall_s, "memory_mb": 2048, "processes": 64},
    }
    if not set(found.packages) <= _USUAL:
        described["requirements"] = sorted({*found.packages, *_USUAL})
    return yaml.safe_dump(described, sort_keys=False, width=100)


def _readme(found: Foreign, name: str) -> str:
    return (
        f"# {name}\n\nImported by `evolve import`. `harness.py` holds the adapter and a copy of "
        f"`{found.evaluator.name}` and the files beside it; it runs inside the sandbox, in the "
        "process of the program that it judges. So scores are *forgeable*: a program can write "
        "whatever it likes. To make them proof, move the judging into an evaluator of this "
        "project: `evolve problem new` shows how.\n"
    )


def _one_of(folder: Path, names: Sequence[str], what: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{folder} has no {' or '.join(names)}; name the {what} by --{what}")


def _kind_of(source: str, path: Path) -> Kind:
    if "--program-dir" in source or "program_dir" in source:
        return "alphaevolve"
    if "run_shinka_eval" in source or "--results_dir" in source:
        return "shinka"
    if "evaluate" in top_level_names(source, str(path)):
        return "openevolve"
    raise ConfigError(
        f"cannot tell how {path} is called; give --kind openevolve (evaluate(program_path)), "
        "shinka (--program_path, --results_dir) or alphaevolve (--program-dir, --output-file)"
    )


def _settings(folder: Path) -> _Settings:
    """Return what matters of the other project's configuration, if there is one.

    Raises:
        ConfigError: it is no YAML, or a value is not what that project takes.
    """
    for name in ("config.yaml", "config.yml"):
        if (folder / name).is_file():
            try:
                read = yaml.safe_load(read_text(folder / name, MAX_HARNESS_BYTES))
                return _Settings.model_validate(read if isinstance(read, dict) else {})
            except yaml.YAMLError as error:
                raise ConfigError(f"not YAML: {error}", path=str(folder / name)) from None
            except ValidationError as error:
                wrong = error.errors()[0]
                key = ".".join(map(str, wrong["loc"]))
                said = wrong["msg"].partition(" or instance")[0]  # of a class of ours
                raise ConfigError(f"{key}: {said}", path=str(folder / name)) from None
    return _Settings()


def _entrypoint(program: str, evaluator: str, path: Path) -> str:
    """Return a function of the program that the evaluator names, or its first one."""
    tree = parse_python(program, str(path))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise ConfigError(f"{path} defines no function at top level")
    named = [name for name in functions if f".{name}" in evaluator or json.dumps(name) in evaluator]
    return (named or functions)[0]


def _metric(source: str) -> str:
    return "combined_score" if "combined_score" in source or "shinka" in source else "mean"


def _packages(folder: Path, sources: Mapping[Path, str]) -> set[str]:
    """Return the top-level packages that are imported and lie nowhere here."""
    beside = {path.stem for path in folder.iterdir()}
    found = set()
    for path, source in sources.items():
        for node in ast.walk(parse_python(source, str(path))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - beside - _PROVIDED
