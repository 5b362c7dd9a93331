"""What a killed controller leaves behind goes away without anybody starting anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import numpy as np
import pytest
from docker.models.containers import Container

from evolve.sandbox.reaper import LABEL, Controller

CONTROLLER = """
import sys
import anyio
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job
from evolve.sandbox.{module} import {name} as Sandbox
from evolve.sandbox.reaper import Controller

SOURCE = "import os, time\\ndef solve():\\n    os.fork()\\n    time.sleep(0.05)"

async def use(sandbox, index):
    slot = await sandbox.open_slot(index, Limits())
    print("open", flush=True)
    while True:
        async with slot.session(Job(Program({{"p.py": SOURCE}}), "solve", Limits())) as session:
            await session.call({{}})

async def main():
    print(Controller.this(), flush=True)
    sandbox = Sandbox()
    async with anyio.create_task_group() as tasks:
        for index in range(2):
            tasks.start_soon(use, sandbox, index)

anyio.run(main)
"""
PROCESS = CONTROLLER.format(module="process", name="ProcessSandbox")
DOCKER = CONTROLLER.format(module="docker", name="DockerSandbox")


def folders(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"evolve-{pid}-*"))


def commands() -> Iterator[tuple[int, str]]:
    """Yield what all processes of this machine run, by their numbers."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(entry.name), line.decode(errors="replace")


def processes(pid: int) -> list[str]:
    """Return what runs with a private folder of a controller, or as its watchdog."""
    return [
        line
        for _, line in commands()
        if f"/evolve-{pid}-" in line or (f":{pid}:" in line and "watchdog" in line)
    ]


def soon(nothing: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until ``nothing`` is left."""
    deadline = time.monotonic() + seconds
    while nothing() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not nothing()


def started(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)


def read(controller: subprocess.Popen[str], lines: int) -> str:
    assert controller.stdout is not None
    first, *_ = [controller.stdout.readline() for _ in range(lines)]
    return first.strip()


def test_folders_and_runners_of_a_killed_controller_go() -> None:
    with started(PROCESS) as controller:
        read(controller, 3)
        assert folders(controller.pid)
        assert len(processes(controller.pid)) > 2
        controller.kill()
        soon(lambda: [*folders(controller.pid), *processes(controller.pid)])  # nobody waited for it


def test_a_frozen_runner_goes_too() -> None:
    with started(PROCESS) as controller:
        read(controller, 3)
        for pid, line in commands():
            if f"/evolve-{controller.pid}-" in line:
                with suppress(ProcessLookupError):  # a program that has ended
                    os.kill(pid, signal.SIGSTOP)
        controller.kill()
        soon(lambda: [*folders(controller.pid), *processes(controller.pid)])


def test_a_watchdog_ends_with_a_controller_that_ends_well() -> None:
    source = (
        "from evolve.sandbox.watchdog import watch\nwatch(); watch()\nprint('open', flush=True)"
    )
    with started(source) as controller:
        read(controller, 1)
        controller.wait()
        soon(lambda: processes(controller.pid))


def test_a_dead_controller_that_nobody_waited_for_is_dead() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        this = Controller.this()
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        other = Controller(this.host, process.pid, int(ticks))
        assert not other.dead
        process.kill()
        soon(lambda: not other.dead)
        assert "State:\tZ" in Path(f"/proc/{process.pid}/status").read_text()


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    connection = docker.from_env()
    yield connection
    connection.close()


def labelled(client: docker.DockerClient, controller: str) -> list[Container]:
    return client.containers.list(
        all=True, filters={"label": f"{LABEL}={controller}"}, ignore_removed=True
    )


@pytest.mark.docker
@pytest.mark.parametrize("state", ["created", "paused"])
def test_containers_that_no_runner_ends_go(client: docker.DockerClient, state: str) -> None:
    with started(DOCKER) as controller:
        name = read(controller, 3)
        [first, *_] = labelled(client, name)
        if state == "paused":
            first.pause()
        else:
            client.containers.create(
                first.attrs["Image"], ["python3", "-c", ""], labels={LABEL: name}
            )
        controller.kill()
        soon(lambda: labelled(client, name))
        soon(lambda: [*folders(controller.pid), *processes(controller.pid)])


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_moment_nothing_is_left(client: docker.DockerClient, seed: int) -> None:
    with started(DOCKER) as controller:
        name = read(controller, 1)
        time.sleep(np.random.default_rng(seed).uniform(0.05, 2.0))
        controller.kill()
        soon(lambda: processes(controller.pid))  # the watchdog included: its work is done
        assert labelled(client, name) == []
        assert folders(controller.pid) == []


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_killed_again_and_again_leaves_nothing(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    name = f"killed-{os.getpid()}"
    evolve = str(Path(sys.executable).with_name("evolve"))
    command = [evolve, "run", "quickstart", "--db", "run.db"]
    for setting in ("sandbox.kind=docker", "stop.evaluations=150", f"name={name}"):
        command += ["--set", setting]
    moments = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as run:
            time.sleep(moments.uniform(1.0, 5.0))
            run.kill()
            soon(lambda run=run: processes(run.pid))  # type: ignore[misc]
            assert folders(run.pid) == []
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "150 evaluations" in done.stdout
    mine = {"label": f"evolve.run={name}"}
    assert client.containers.list(all=True, filters=mine) == []  # type: ignore[arg-type]
