"""Settings of every test."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.simulation.clock import VirtualClock
from tests.postgres_server import GUARDED, Server

# Other work on the machine is no fault of what is tested.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

#: Variables by which shells and machines for continuous integration ask for colors, or for none.
COLORS = ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS")


def pytest_configure() -> None:
    """Give every worker of a parallel run a folder for temporary files of its own.

    Claims on CPUs and the private folders of slots lie there: what one worker has, or leaves
    behind, is none of the others' business.

    Hundreds of processes start during the tests. What they import is compiled once and not by each
    of them, whatever the shell says; nor does it decide what commands print.
    """
    for name in ("PYTHONDONTWRITEBYTECODE", *COLORS):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        folder = Path(tempfile.gettempdir()) / f"evolve-tests-{os.getuid()}-{worker}"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than CPUs: tests wait for processes as often as they compute."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this worker, with a template that has our tables."""
    from evolve.store.store import open_store

    try:
        server = Server()
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    try:
        open_store(server.create("evolve")).close()
        server.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {GUARDED}", "evolve")
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """A database on a server with all our tables, empty."""
    from evolve.store.schema import VERSION, metadata

    yield postgres.url("evolve")
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    postgres.sql(  # quicker than another database for every test
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'evolve' AND"
        f" pid <> pg_backend_pid(); TRUNCATE {tables} RESTART IDENTITY;"
        f" UPDATE alembic_version SET version_num = '{VERSION}'",
        "evolve",
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of either kind: a file that is not there yet, or one on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'evolve.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def virtual_time() -> Iterator[tuple[str, dict[str, Callable[..., object]]]]:
    """Give an asynchronous backend for tests without processes, to be their `anyio_backend`.

    Waits are skipped, and time passes in them alone: how busy the machine is changes nothing, nor
    does how long it has been on, which decides how sums of seconds are rounded.
    """
    clock = VirtualClock(work=lambda: 0.0, start=1000.0)
    with clock.installed():
        yield "asyncio", {"loop_factory": clock.loop}
