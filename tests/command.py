"""The `evolve` command as a process of its own or in this one, and small configurations for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from evolve.cli.app import main
from tests import fakes
from tests.fakes import write_problem

EVOLVE = (sys.executable, "-c", "from evolve.cli.app import main; main()")
#: A sandbox that costs no time, for tests of everything else.
QUICK_SANDBOX = {"kind": f"{Path(fakes.__file__).resolve()}:InProcessSandbox"}
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "EVOLVE_DB")


def write_config(folder: Path, **changes: object) -> Path:
    """Write the parabola problem and a configuration that evolves it with the genetic operator."""
    if not (folder / "parabola").exists():
        write_problem(folder / "parabola")
    config = {
        "problem": "./parabola",
        "sandbox": QUICK_SANDBOX,
        "proposers": [{"kind": "genetic"}],
        "stop": {"evaluations": 20},
        **changes,
    }
    path = folder / "search.yaml"
    path.write_text(json.dumps(config, indent=1))
    return path


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without keys and terminal settings."""
    kept = {name: value for name, value in os.environ.items() if name not in _KEYS}
    return {**kept, "TERM": "dumb", "COLUMNS": "100", **changes}


def evolve(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in ``folder`` to its end."""
    return subprocess.run(
        [*EVOLVE, *map(str, arguments)],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def evolve_here(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which is quicker where a process is not the point."""
    command = ["evolve", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        for name in _KEYS:
            patch.delenv(name, raising=False)
        for name, value in environment(**variables).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
    told = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), *told)


def start(folder: Path, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """Start the command in ``folder``; use it as a context manager."""
    return subprocess.Popen(
        [*EVOLVE, *map(str, arguments)],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(pid: int) -> bool:
    """Return whether a process runs: one that has ended and nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone_soon(pid: int) -> bool:
    """Return whether a killed process ends: the kernel takes a moment."""
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)
