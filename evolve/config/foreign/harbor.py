"""Make a problem folder out of a Harbor task: instruction, environment, tests for a reward.

Nothing of it is executed. What cannot be had in a sandbox without network, secrets and further
containers is refused, all of it at once.
"""

from __future__ import annotations

import base64
import fnmatch
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from evolve.config.foreign.harbor_installs import (
    READ_BYTES,
    Installs,
    image_lines,
    installs_of,
    installs_of_tests,
)
from evolve.config.problem_new import check_free
from evolve.config.text_file import read_text
from evolve.core.errors import ConfigError
from evolve.core.program import START

_MOST_BYTES = 700 * 1024
_WORKDIR = "/app"
_SECONDS, _MEMORY_MB = 600.0, 2048
_SCRIPT = "solution/solve.sh"
_SOURCES = (".py", ".c", ".cc", ".cpp", ".rs", ".go", ".java", ".js", ".ts", ".jl", ".rb", ".sh")
#: Reads the adapter and the task from standard input, and prints what comes of it.
_BOOT = (
    "import json, sys; given = json.load(sys.stdin); space = {}; "
    "exec(given['adapter'], space); print(json.dumps(space['run'](**given['task'])))"
)


@dataclass(frozen=True, slots=True)
class HarborTask:
    """A Harbor task, as far as it was found out.

    Attributes:
        folder: The task's.
        program: The file that is to change, below it.
        place: Where the task has that file; empty: it is a script that is run before the tests.
        metric: The reward to maximise.
        task: What the adapter needs, see `evolve.config.foreign.harbor_adapter.run`.
        limits: Of the problem.
        image: Docker image that the task names, or empty.
        installs: What its scripts install when they run.
        notes: What somebody should look at.
    """

    folder: Path
    program: Path
    place: str
    metric: str
    task: Mapping[str, Any]
    limits: Mapping[str, float]
    image: str = ""
    installs: Installs = field(default=Installs())
    notes: tuple[str, ...] = field(default=())


def look_at_task(
    folder: Path, *, program: str | None = None, metric: str | None = None
) -> HarborTask:
    """Find out what a Harbor task holds.

    Args:
        folder: With ``task.toml``, ``instruction.md``, ``environment`` and ``tests``.
        program: The file that is to change, below the folder; default: the only source file in
            ``environment``, or else ``solution/solve.sh``.
        metric: The reward to maximise, of several in ``reward.json``; ``mean`` for their mean.

    Raises:
        ConfigError: it is no such task, or something in it cannot be had here; names all of it.
    """
    described = _described(folder)
    docker = folder / "environment" / "Dockerfile"
    layout = _Layout.of(read_text(docker, READ_BYTES) if docker.is_file() else "")
    installs, reasons = installs_of_tests(folder)
    if reasons := [*_not_here(folder, described), *reasons]:
        raise ConfigError(
            "this Harbor task cannot be imported:\n" + "\n".join(f"- {each}" for each in reasons)
        )
    start = folder / program if program else _candidate(folder)
    if not start.is_file():
        raise ConfigError(f"{folder} has no file {program}; --program names one below the folder")
    texts, binary = _files(folder, layout)
    place = ""
    if start.is_relative_to(folder / "environment"):
        place = layout.places(folder / "environment", start) or f"{layout.workdir}/{start.name}"
    texts.pop(place, None)
    if not place:  # what the task's own solution installs, its successors will want
        installs += replace(installs_of(read_text(start, READ_BYTES)), refused=())
    paths = (*texts, *binary, layout.workdir, *([place] if place else []))
    roots = {f"/{part}" for path in paths for part in PurePosixPath(path).parts[1:2]}
    verifier, wanted = described.get("verifier", {}), described.get("environment", {})
    return HarborTask(
        folder,
        start,
        place,
        metric or "reward",
        {
            "program": start.name,
            "place": place,
            "workdir": layout.workdir,
            "roots": sorted({*roots, "/tests", "/logs", "/solution"}),
            "files": texts,
            "binary": binary,
            "environment": {k: str(v) for k, v in verifier.get("env", {}).items()},
        },
        _limits(verifier, wanted),
        str(wanted.get("docker_image") or ""),
        installs,
        tuple(_notes(described, place, installs)),
    )


def import_task(found: HarborTask, place: Path) -> list[Path]:
    """Write a problem folder for a task.

    Args:
        found: What to import.
        place: The folder, which must not exist.

    Returns:
        The files written, in order; those of the environment are not among them.

    Raises:
        ConfigError: the folder exists.
    """
    check_free(place)
    environment = found.folder / "environment"
    built = (environment / "Dockerfile").is_file() and not found.image
    more = image_lines(found.installs) if found.installs.names and (built or found.image) else ""
    files = {
        found.program.name: _marked(read_text(found.program, READ_BYTES)),
        "evaluate.py": _evaluator(found),
        "prompt.md": _statement(found),
        "problem.yaml": _description(found, place.name, built=built or bool(more)),
        "README.md": _readme(found, place.name),
    }
    place.mkdir(parents=True)
    if built:
        shutil.copytree(environment, place / "environment")
    if more:
        _extend(place / "environment" / "Dockerfile", f"FROM {found.image}\n", more)
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return sorted(place / name for name in files)


def _extend(file: Path, otherwise: str, more: str) -> None:
    """Add lines to a Dockerfile, or to what is one instead."""
    file.parent.mkdir(exist_ok=True)
    before = read_text(file, READ_BYTES) if file.is_file() else otherwise
    file.write_text(before.rstrip() + "\n" + more, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a Dockerfile puts the files beside it.

    Attributes:
        workdir: Where commands run.
        copies: Patterns and where what they match goes; with a slash at the end, into there.
    """

    workdir: str
    copies: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, dockerfile: str) -> _Layout:
        """Read WORKDIR, COPY and ADD; copies between stages and from the network are left out."""
        workdir, copies = "", []
        for line in re.sub(r"\\\s*\n", " ", dockerfile).splitlines():
            word, _, rest = line.strip().partition(" ")
            if word.upper() == "WORKDIR":
                workdir = str(PurePosixPath(workdir or "/") / rest.strip())
            elif word.upper() in ("COPY", "ADD") and "--from=" not in rest:
                *sources, target = [each for each in shlex.split(rest) if each[:2] != "--"] or [""]
                into = target.endswith(("/", ".")) or len(sources) > 1
                path = str(PurePosixPath(workdir or "/") / target)
                copies += [(source, f"{path}/" if into else path) for source in sources]
        return cls(workdir or _WORKDIR, tuple(copies))

    def places(self, context: Path, file: Path) -> str:
        """Return where a file of the build context ends up; empty when nowhere."""
        name = file.relative_to(context).as_posix()
        for pattern, target in reversed(self.copies):
            source = pattern.removeprefix("./").rstrip("/") or "."
            below = source == "." or (context / source).is_dir()
            if below and (source == "." or name.startswith(f"{source}/")):
                inner = name if source == "." else name.removeprefix(f"{source}/")
                return f"{target.rstrip('/')}/{inner}"
            if not below and fnmatch.fnmatchcase(name, source):
                return f"{target}{file.name}" if target.endswith("/") else target
        return ""


def _described(folder: Path) -> dict[str, Any]:
    """Return what task.toml says."""
    for name in ("task.toml", "instruction.md"):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} has no {name}: it is no Harbor task")
    place = folder / "task.toml"
    try:
        return tomllib.loads(read_text(place, READ_BYTES))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", path=str(place)) from None


def _not_here(folder: Path, described: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a task cannot be had here."""
    verifier, wanted = described.get("verifier", {}), described.get("environment", {})
    if described.get("steps"):
        yield "it has several steps ([[steps]] in task.toml): a problem here has one"
    if not (folder / "tests" / "test.sh").is_file() and not described.get("steps"):
        yield "it has no tests/test.sh, which writes the reward"
    for name in ("docker-compose.yaml", "docker-compose.yml", "compose.yaml"):
        if (folder / "environment" / name).is_file():
            yield f"environment/{name}: programs run in one container, without others beside it"
    yield from _settings_not_here(verifier, wanted)


def _settings_not_here(verifier: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what settings of task.toml cannot be had here."""
    if verifier.get("environment_mode") == "separate":
        yield 'verifier.environment_mode = "separate": tests run beside the program here'
    if wanted.get("os") == "windows":
        yield 'environment.os = "windows": sandboxes here are Linux'
    for name, value in verifier.get("env", {}).items():
        if "$" in str(value):
            yield f"verifier.env.{name} = {str(value)!r}: no variable of this machine gets inside"


def _candidate(folder: Path) -> Path:
    """Return the only source file of the environment, or else the script of the solution."""
    found = [
        path
        for path in sorted((folder / "environment").rglob("*"))
        if path.suffix in _SOURCES and path.is_file()
    ]
    if len(found) == 1:
        return found[0]
    if not found and (folder / _SCRIPT).is_file():
        return folder / _SCRIPT
    names = ", ".join(path.relative_to(folder).as_posix() for path in found[:8]) or "none"
    raise ConfigError(
        f"name the file that programs are versions of by --program, relative to {folder}: a source "
        f"file in environment ({names}), or a script that solves the task, such as {_SCRIPT}"
    )


def _files(folder: Path, layout: _Layout) -> tuple[dict[str, str], dict[str, str]]:
    """Return texts, and other files in base64, by where the task has them."""
    texts: dict[str, str] = {}
    binary: dict[str, str] = {}
    environment, tests, size = folder / "environment", folder / "tests", 0
    for path in sorted([*environment.rglob("*"), *tests.rglob("*")]):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        if path.is_relative_to(tests):
            target = f"/tests/{path.relative_to(tests).as_posix()}"
        else:
            target = layout.places(environment, path)
        if not target:
            continue
        data = path.read_bytes()
        size += len(data)
        if size > _MOST_BYTES:
            raise ConfigError(
                f"the task's files come to more than {_MOST_BYTES >> 10} KiB, and travel to every "
                "program: build them into an image and leave them out of environment"
            )
        try:
            texts[target] = data.decode("utf-8")
        except UnicodeDecodeError:
            binary[target] = base64.b64encode(data).decode("ascii")
    return texts, binary


def _limits(verifier: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, float]:
    cpus, gpus = wanted.get("cpus") or 1, wanted.get("gpus") or 0
    return {
        "wall_s": float(verifier.get("timeout_sec") or _SECONDS),
        "memory_mb": wanted.get("memory_mb") or _megabytes(wanted.get("memory")) or _MEMORY_MB,
        "cpus": cpus,
        "processes": 256,
        "disk_mb": min(
            wanted.get("storage_mb") or _megabytes(wanted.get("storage")) or _MEMORY_MB, _MEMORY_MB
        ),
        **({"gpus": gpus} if gpus else {}),
    }


def _megabytes(text: object) -> int:
    """Return a size such as ``4G`` in MiB; 0 for none."""
    found = re.fullmatch(r"(\d+)\s*([MG])i?B?", str(text or ""), re.IGNORECASE)
    return int(found[1]) * (1024 if found[2].upper() == "G" else 1) if found else 0


def _notes(described: Mapping[str, Any], place: str, installs: Installs) -> Iterator[str]:
    wanted = described.get("environment", {})
    if wanted.get("allow_internet", True):
        yield "the task allows its agent the network; a program here has none"
    for key in ("mcp_servers", "skills_dir", "healthcheck"):
        if wanted.get(key):
            yield f"environment.{key} is left out: there is no agent to use it"
    if not place:
        yield "the program is a script; it is run first, and the tests after it"
    if installs.names:
        yield (
            f"scripts of the task install {', '.join(installs.names)} when they run: that is in "
            "environment/Dockerfile now; the process sandbox has what its python3 has"
        )


def _marked(text: str) -> str:
    """Return a script with what may change marked; a first line that says how to run stays."""
    if START in text or not text.startswith("#!"):
        return text
    first, _, rest = text.partition("\n")
    return f"{first}\n# {START}\n{rest.rstrip()}\n# {START.replace('START', 'END')}\n"


def _evaluator(found: HarborTask) -> str:
    return (
        '"""The task\'s files and its verifier, as `evolve import` found them."""\n\n'
        "from evolve.evaluate.forgeable import HarborTask\n\n\n"
        "class Task(HarborTask):\n"
        f"    task = {dict(found.task)!r}\n"
    )


def _statement(found: HarborTask) -> str:
    told = read_text(found.folder / "instruction.md", READ_BYTES).strip()
    if found.place:
        what = f"The program is the file `{found.place}`"
    else:
        what = f"The program is a bash script that does this, run in `{found.task['workdir']}`"
    return (
        f"{told}\n\n{what}; it is what you improve. Paths are those of the task. Tests then give a "
        f"reward, `{found.metric}`; larger is better. There is no network.\n"
    )


def _description(found: HarborTask, name: str, *, built: bool) -> str:
    described: dict[str, Any] = {
        "title": f"{name}, judged by its own tests (harbor)",
        "family": "imported",
        "seed_program": found.program.name,
        "command": {"run": ["python3", "-c", _BOOT]},
        "evaluator": "./evaluate.py:Task",
        "evaluator_options": {"metric": found.metric},
        "forgeable": True,
        "objective": {"name": found.metric, "direction": "maximize"},
        "measures": [
            {"name": "code_length", "low": 0, "high": 10000, "cells": 20},
            {"name": "cyclomatic_complexity", "low": 0, "high": 60, "cells": 20},
        ],
        "limits": dict(found.limits),
    }
    if built:
        described["dockerfile"] = "environment/Dockerfile"
    elif found.image:
        described["image"] = found.image
    return yaml.safe_dump(described, sort_keys=False, width=100)


def _readme(found: HarborTask, name: str) -> str:
    return (
        f"# {name}\n\nA Harbor task, imported by `evolve import`. `evaluate.py` holds its files "
        "and its tests; for every program they are laid out in a folder of its own in the sandbox, "
        f"`{found.program.name}` is put in its place, `tests/test.sh` is run, and the reward that "
        "it writes is the score. Tests and program share a container, so scores are *forgeable*: a "
        "program can write whatever it likes. To make them proof, move the judging into an "
        "evaluator of this project: `evolve problem new` shows how.\n"
    )
