"""Pages over a database of hostile texts, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from evolve.view.web.app import application
from evolve.view.web.source import Source
from tests.view.hostile import fill

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="session")
def hostile_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that no test changes."""
    path = tmp_path_factory.mktemp("hostile") / "evolve.db"
    fill(path)
    return path


def client_of(path: Path, **headers: str) -> TestClient:
    """Return a browser without cookies, which follows no redirects."""
    return client_on(Source(str(path)), **headers)


def client_on(source: Source, **headers: str) -> TestClient:
    """Return the same for a database that is open."""
    app = application(source, TOKEN)
    return TestClient(
        app, base_url="http://127.0.0.1:8642", headers=headers, follow_redirects=False
    )


@pytest.fixture
def client(hostile_database: Path) -> Iterator[TestClient]:
    """A client that knows the token."""
    with client_of(hostile_database, Authorization=f"Bearer {TOKEN}") as opened:
        yield opened
