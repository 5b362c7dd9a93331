"""Wheel, sdist and editable install: each carries the content folders and finds them by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBLEMS = sorted(path.parent.name for path in ROOT.glob("problems/*/problem.yaml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def uv() -> str:
    """Return the uv of the checkout, or the one on the path."""
    local = ROOT / ".uv" / "bin" / "uv"
    found = str(local) if local.exists() else shutil.which("uv")
    assert found, "no uv: the README's commands put one into .uv"
    return found


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source(folder: Path) -> Path:
    """Copy what a clone would hold, so that building leaves no trace in the checkout."""
    names = run("git", "ls-files", "-z", cwd=ROOT).rstrip("\0").split("\0")
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def check(folder: Path, *requirement: str) -> Path:
    """Install into a fresh environment, and use content from a folder that has none of it."""
    environment, elsewhere = folder / "environment", folder / "elsewhere"
    elsewhere.mkdir()
    run(uv(), "venv", "-q", "--python", sys.executable, environment, cwd=elsewhere)
    python = environment / "bin" / "python"
    lock = ROOT / "requirements.lock"
    run(uv(), "pip", "install", "-q", "-p", python, "-c", lock, *requirement, cwd=elsewhere)
    evolve = environment / "bin" / "evolve"
    assert [
        row["id"] for row in json.loads(run(evolve, "problem", "list", "--json", cwd=elsewhere))
    ] == PROBLEMS
    run(evolve, "config", "check", "quickstart", cwd=elsewhere)
    run(evolve, "config", "show", "quickstart", "--preset", "islands", cwd=elsewhere)
    seed = folder / "seed.py"
    shutil.copy(ROOT / "problems" / "circle_packing_26" / "seed.py", seed)
    scored = json.loads(run(evolve, "evaluate", "circle_packing_26", seed, "--json", cwd=elsewhere))
    assert scored["outcome"] == "ok"
    return python


def test_wheel(tmp_path: Path) -> None:
    run(uv(), "build", "-q", "--wheel", "-o", tmp_path, cwd=source(tmp_path / "source"))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"evolve"}
    python = check(tmp_path, str(wheel))
    find = "import importlib.util as u; print([u.find_spec(n) for n in ('problems', 'evaluators')])"
    assert run(python, "-I", "-c", find, cwd=tmp_path).strip() == "[None, None]"


def test_sdist(tmp_path: Path) -> None:
    run(uv(), "build", "-q", "--sdist", "-o", tmp_path, cwd=source(tmp_path / "source"))
    (sdist,) = tmp_path.glob("*.tar.gz")
    check(tmp_path, str(sdist))


def test_editable(tmp_path: Path) -> None:
    check(tmp_path, "-e", str(source(tmp_path / "source")))
