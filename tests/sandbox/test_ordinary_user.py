"""The process sandbox of somebody who is not root: what it promises is what it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.ordinary_user import UID

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

ROOT = Path(__file__).parents[2]


def as_ordinary_user(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sandbox.ordinary_user", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_with_user_namespaces_programs_see_nothing_of_the_machine() -> None:
    result = as_ordinary_user()
    assert result["obtained"] == ["filter", "namespaces"]
    assert "own file system" in result["guarantees"][0]
    found = result["found"]
    assert found.pop("processes") <= 4
    assert found == {
        "plain": 1,
        "user": [UID, UID],
        "files": False,
        "network": "refused",
        "memory": "out_of_memory",
        "forks": "process_limit",
        "kills its runner": "runner_lost",
        "spins": "wall_timeout",
        "daemon": 5,
        "afterwards": 2,
    }
    assert result["left"] == []


def test_without_them_programs_are_limited_and_it_says_what_is_not_isolated() -> None:
    result = as_ordinary_user("refused")
    assert result["obtained"] == ["filter"]
    assert result["guarantees"][:2] == [
        "not isolated: programs see this machine's files and processes as its user does (neither "
        "root nor user namespaces here)",
        "not isolated: programs can kill the processes of the user they run as",
    ]
    assert "no network" in result["guarantees"][2]
    found = result["found"]
    assert found.pop("processes") > 4
    assert found == {
        "plain": 1,
        "user": [UID, UID],
        "files": True,
        "network": "refused",
        "memory": "out_of_memory",
        "forks": "process_limit",
        "kills its runner": "runner_lost",
        "spins": "wall_timeout",
        "daemon": 5,
        "afterwards": 2,
    }
    assert result["left"] == []
