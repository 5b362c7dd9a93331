"""Everything a run consists of is killed at random moments; then the database is the witness."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from evolve.engine.replay import replay
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import environment, evolve, start, write_config
from tests.engine.author import TOKENS
from tests.engine.test_resume import ENDLESS, check_database, finish, read_until

PRICE = {"input": 10.0, "output": 100.0}
PRICE_OF_A_CALL = (TOKENS[0] * PRICE["input"] + TOKENS[1] * PRICE["output"]) / 1e6


class ModelServer:
    """The model's server, on one port for all its lives."""

    def __init__(self, folder: Path) -> None:
        self.held = socket.socket()  # never listening: nobody else is given the port meanwhile
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        self.port = self.held.getsockname()[1]
        self.log = folder / "replies.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.engine.author", str(self.port), str(self.log)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @property
    def replies(self) -> int:
        return len(self.log.read_text().splitlines())


@contextmanager
def model_server(folder: Path) -> Iterator[ModelServer]:
    server = ModelServer(folder)
    with server.held:
        server.start()
        try:
            yield server
        finally:
            server.kill()


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def strike(folder: Path, config: Path, server: ModelServer, rng: np.random.Generator) -> str:
    """Begin or resume the run, kill something of it, and then the rest of it.

    Returns:
        What was killed first.
    """
    victim = str(rng.choice(["controller", "controller", "child", "server"]))
    with start(folder, "run", config, "--json", *ENDLESS, TEST_KEY="key") as child:
        read_until(child, "RunStarted")
        read_until(child, "ProgramEvaluated", max(int(rng.integers(-6, 18)), 0))
        time.sleep(float(rng.uniform(0.0, 0.2)))
        if victim == "child" and (children := descendants(child.pid)):
            with suppress(ProcessLookupError):
                os.kill(children[int(rng.integers(len(children)))], signal.SIGKILL)
            time.sleep(float(rng.uniform(0.0, 0.4)))
        if victim == "server":
            server.kill()
            time.sleep(float(rng.uniform(0.0, 0.1)))
        child.kill()
        child.communicate()
    if victim == "server":
        server.start()
    return victim


def check_money(folder: Path, server: ModelServer) -> None:
    """Check that every call is there once, and costs what it cost or what was reserved for it."""
    with closing(sqlite3.connect(folder / "evolve.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        calls = connection.execute(
            "SELECT proposal_id, state, cost_usd, reserved_usd FROM completions"
        ).fetchall()
        received = [proposal for proposal, state, *_ in calls if state == "received"]
        assert len(received) == len(set(received)), "no reply was paid for twice"
        assert len(received) <= server.replies
        assert {state for _, state, *_ in calls} <= {"received", "failed", "unknown"}
        unknown = sum(state == "unknown" for _, state, *_ in calls)
        for _, state, cost, reserved in calls:
            if state == "received":
                assert cost == pytest.approx(PRICE_OF_A_CALL)
            elif state == "unknown":
                assert cost == reserved
            else:
                assert cost in (0.0, reserved)
        assert unknown > 0
        folded = connection.execute(
            "SELECT count(*) FROM archive_events WHERE replaced_id IS NOT NULL AND NOT EXISTS ("
            " SELECT 1 FROM archive_events AS e WHERE e.program_id = archive_events.replaced_id"
            " AND e.cell = archive_events.cell AND e.id < archive_events.id)"
        ).fetchone()
        assert folded == (0,), "every elite that was displaced had entered before"
        spent = sum(cost for _, _, cost, _ in calls)
    with open_reader(str(folder / "evolve.db")) as reader:
        assert reader.totals(1).cost_usd == pytest.approx(spent)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("order", ["arrival", "strict"])
def test_a_run_survives_kills_of_all_it_consists_of(tmp_path: Path, order: str) -> None:
    with model_server(tmp_path) as server:
        model = {
            "id": "openai/tiny",
            "base_url": f"http://127.0.0.1:{server.port}/v1",
            "api_key_env": "TEST_KEY",
            "price": PRICE,
            "retries": 0,
        }
        mends = {"mends": 0}
        config = write_config(
            tmp_path,
            order=order,
            slots=2,
            proposals=4,
            models=[model],
            sandbox={"kind": "process", "allow_untrusted": True},
            proposers=[
                {"kind": "diff", "options": mends},
                {"kind": "rewrite", "options": mends},
                {"kind": "genetic"},
            ],
        )
        rng = np.random.default_rng(25)
        struck = [strike(tmp_path, config, server, rng) for _ in range(25)]
        assert set(struck) == {"controller", "child", "server"}
        db = str(tmp_path / "evolve.db")
        check_database(db, finish(tmp_path, config, db, TEST_KEY="key"))
        check_money(tmp_path, server)
    with (
        open_reader(str(tmp_path / "evolve.db")) as reader,
        open_store(str(tmp_path / "again.db")) as scratch,
    ):
        assert replay(reader, reader.run(1), scratch).differences == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_run_on_a_full_disk_stops_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount") or "mount"

    def size(limit: str, *options: str) -> int:
        command = [mount, "-t", "tmpfs", "-o", ",".join([*options, f"size={limit}"])]
        return subprocess.run([*command, "tmpfs", str(disk)], check=False).returncode

    if size("1200k"):
        pytest.skip("mounting is not allowed here")
    try:
        config = write_config(tmp_path, stop={"evaluations": 700})
        full = evolve(tmp_path, "run", config, "--db", disk / "evolve.db")
        assert full.returncode == 3, full.stdout
        assert "the disk is full; free some space and run again to resume" in full.stderr
        assert "Traceback" not in full.stderr
        with open_reader(str(disk / "evolve.db")) as reader:
            done = sum(reader.totals(1).evaluations.values())
        assert size("100m", "remount") == 0
        ended = evolve(tmp_path, "run", config, "--db", disk / "evolve.db")
        assert ended.returncode == 0, ended.stderr
        assert "resuming run 1" in ended.stdout
        assert 0 < done < 700
        check_database(disk / "evolve.db", 700)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_run_whose_database_is_locked_stops_and_goes_on(tmp_path: Path) -> None:
    config, db = write_config(tmp_path), tmp_path / "evolve.db"
    impatient = (
        "from evolve.store import database; database.BUSY_S = 0.3; "
        "from evolve.cli.app import main; main()"
    )
    command = [sys.executable, "-c", impatient, "run", str(config), "--json", *ENDLESS]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        read_until(child, "ProgramEvaluated")
        with closing(sqlite3.connect(db, isolation_level=None, timeout=60)) as other:
            other.execute("BEGIN IMMEDIATE")
            _, told = child.communicate()
            other.rollback()
    assert child.returncode == 3
    assert "another process has kept it locked for too long; stop that process" in told
    assert "Traceback" not in told
    check_database(db, finish(tmp_path, config, str(db)))
