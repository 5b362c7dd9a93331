"""A store on a real database, with one run in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.store.store import Store, open_store
from tests.store.samples import Clock, new_run


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evolve.db"


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    with open_store(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def run_id(store: Store) -> int:
    run_id = store.create_run(new_run()).id
    store.claim(run_id, "here:1")
    return run_id
