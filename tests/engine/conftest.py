"""A run in a database of its own, and a search of it without processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.config.problem import Problem, load_problem
from evolve.store.store import open_store
from tests.engine.laboratory import Laboratory
from tests.fakes import write_problem


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    return load_problem(str(write_problem(tmp_path / "parabola")))


@pytest.fixture
def lab(tmp_path: Path, problem: Problem) -> Iterator[Laboratory]:
    with open_store(str(tmp_path / "evolve.db")) as store:
        yield Laboratory(problem, store)
