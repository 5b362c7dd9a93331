"""The connection to a Docker engine, where none answers."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest

from evolve.core.errors import SandboxUnavailable
from evolve.sandbox.engine import Engine


@pytest.fixture(params=["absent", "deserted"])
def nobody(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the path of a socket that nobody serves: there is none, or its server has died."""
    path = tmp_path / "docker.sock"
    if request.param == "deserted":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path


def test_no_engine_is_explained_with_the_way_out_and_leaves_nothing_open(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{nobody}")
    with pytest.raises(SandboxUnavailable, match="kind: process"):
        Engine()
    gc.collect()  # a socket left open would be an error now
