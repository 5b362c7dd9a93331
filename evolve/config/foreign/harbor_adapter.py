"""Judge a program as a Harbor task does; `evolve import` puts this file into the task's cases.

It runs in the sandbox, in the program's place and with its rights: it lays the task's files out in
a folder of its own, puts the program where it belongs, runs ``tests/test.sh`` and reads the reward.
A program that runs there can have forged all of it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_TAIL = 2000
_TESTS, _LOGS, _VERIFIER, _SCRIPT = "/tests", "/logs", "/logs/verifier", "/solution/solve.sh"
#: Where an image has what scripts run by ``uvx``.
TOOLS = "/opt/task-tools"
_STAND_IN = """\
case " $* " in {what}) {then}exit 0 ;; esac
PATH=${{PATH#*:}}
export PATH
exec "${{0##*/}}" "$@"
"""
_INSTALLER = _STAND_IN.format(
    what='*" install "* | *" update "*',
    then='echo "${0##*/}: left out, what the task installs is in the image"; ',
)
_FETCHER = _STAND_IN.format(what="*astral.sh/uv*", then="")
_UVX = f"""\
while [ $# -gt 0 ]; do
  case "$1" in
    -p | --python | -w | --with | --from) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
tool=${{1%%@*}}
shift
if [ -x "{TOOLS}/bin/$tool" ]; then exec "{TOOLS}/bin/$tool" "$@"; fi
exec python3 -m "$tool" "$@"
"""
#: What scripts find by the names of installers, which an image makes needless.
_STAND_INS = {
    "apt": _INSTALLER,
    "apt-get": _INSTALLER,
    "pip": _INSTALLER,
    "pip3": _INSTALLER,
    "curl": _FETCHER,
    "wget": _FETCHER,
    "uvx": _UVX,
}


def run(
    *,
    program: str,
    place: str,
    workdir: str,
    roots: list[str],
    files: Mapping[str, str],
    binary: Mapping[str, str],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Return metrics, artifacts and error.

    Args:
        program: The candidate's file in the working folder.
        place: Where the task has it; empty: it is a script that solves the task, run at first.
        workdir: Where the task's commands run.
        roots: Folders of the task, moved below the working folder wherever a text names them.
        files: The task's texts, tests among them, by path.
        binary: Its other files, in base64.
        environment: What the verifier gets beside the usual.
    """
    here = Path.cwd()
    base = here / "_task"
    moved = _mover(base, roots)

    def private(path: str) -> Path:
        return base / path.lstrip("/")

    contents = {path: moved(text).encode() for path, text in files.items()}
    contents |= {path: base64.b64decode(text) for path, text in binary.items()}
    tests = {path: contents.pop(path) for path in [*contents] if path.startswith(f"{_TESTS}/")}
    solution = moved((here / program).read_text(encoding="utf-8")).encode()
    contents |= {place or _SCRIPT: solution}

    for root in {*roots, workdir} - contents.keys():
        private(root).mkdir(parents=True, exist_ok=True)
        if root not in (_TESTS, _LOGS) and Path(root).is_dir():  # the image of the task has it
            shutil.copytree(root, private(root), symlinks=True, dirs_exist_ok=True)
    _write({private(path): data for path, data in contents.items()})
    said = {}
    if not place:
        said["solution"] = _bash(private(_SCRIPT), private(workdir), _stand_ins(base))[1]
    for folder in (_TESTS, _VERIFIER):  # nothing that the program planted there counts
        shutil.rmtree(private(folder), ignore_errors=True)
        private(folder).mkdir(parents=True)
    _write({private(path): data for path, data in tests.items()})
    given = {**_stand_ins(base), **environment}
    status, said["verifier"] = _bash(private(f"{_TESTS}/test.sh"), private(workdir), given)
    metrics = _reward(private(_VERIFIER))
    error = "" if metrics else f"test.sh wrote no reward (exit status {status}): {said['verifier']}"
    return {"metrics": metrics, "artifacts": {k: v for k, v in said.items() if v}, "error": error}


def _mover(base: Path, roots: list[str]) -> Callable[[str], str]:
    names = "|".join(re.escape(root) for root in sorted(roots, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./-])(?:{names})(?![\w-])")
    return lambda text: pattern.sub(lambda found: f"{base}{found[0]}", text)


def _write(files: Mapping[Path, bytes]) -> None:
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _stand_ins(base: Path) -> dict[str, str]:
    """Lay out what scripts find instead of installers; return the environment to find it."""
    folder = base / "_stand_ins"
    start = f"#!{shutil.which('bash')}\n"
    files = {folder / name: (start + text).encode() for name, text in _STAND_INS.items()}
    _write(files)
    for path in files:
        path.chmod(0o755)
    _write({Path.home() / ".local/bin/env": b""})  # what uv's installer leaves to be sourced
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def _bash(script: Path, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a script; return its exit status and the end of what it said."""
    if shutil.which("bash") is None:
        return 127, "there is no bash in the image, and the task's scripts need it"
    done = subprocess.run(  # noqa: S603 - in the sandbox
        ["bash", str(script)],  # noqa: S607 - the sandbox's own
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")[-_TAIL:].strip()


def _reward(folder: Path) -> dict[str, float]:
    """Return what the verifier wrote: ``reward.json`` or else ``reward.txt``."""
    with contextlib.suppress(OSError, ValueError):
        given = json.loads((folder / "reward.json").read_text(encoding="utf-8"))
        given = given if isinstance(given, dict) else {"reward": given}
        return {str(name): float(value) for name, value in given.items() if _is_number(value)}
    with contextlib.suppress(OSError, ValueError):
        return {"reward": float((folder / "reward.txt").read_text(encoding="utf-8"))}
    return {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
