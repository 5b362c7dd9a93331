"""The process sandbox: what it does when its runner, its controller or its kernel lets it down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from evolve.core.errors import SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox import session as session_module
from evolve.sandbox.base import Job, Reply, Slot
from evolve.sandbox.process import ProcessSandbox
from evolve.sandbox.reaper import Controller, reap_folders
from evolve.sandbox.watchdog import watch

pytestmark = pytest.mark.anyio

SPIN = "import time\ndef solve():\n    while True: time.sleep(0.01)"
LIMITS = Limits(wall_s=30.0)


async def call(slot: Slot, source: str, limits: Limits = LIMITS) -> Reply:
    async with slot.session(Job(Program({"p.py": source}), "solve", limits)) as session:
        return await session.call({})


def below(pid: int) -> list[int]:
    """Return the processes below one, itself left out."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *below(int(child))]
    return found


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_the_end_of(processes: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, processes))


def folders_of(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"evolve-{pid}-*"))


def wait_for_the_end_of_folders(pid: int) -> None:
    deadline = time.monotonic() + 20
    while folders_of(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folders_of(pid)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def runners() -> Iterator[list[int]]:
    """Give the processes of runners started since; see that none outlives the test."""
    watch()  # one for the whole process, and none of a runner's
    before = set(below(os.getpid()))

    class Started(list[int]):
        def __iter__(self) -> Iterator[int]:
            return iter([pid for pid in below(os.getpid()) if pid not in before])

    yield Started()
    assert [pid for pid in below(os.getpid()) if pid not in before and alive(pid)] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_killed_runner_is_replaced(runners: list[int], number: signal.Signals) -> None:
    slot = await ProcessSandbox().open_slot(0, LIMITS)
    try:
        first, idle = next(iter(runners)), len(list(runners))
        async with anyio.create_task_group() as group:

            async def kill() -> None:
                with anyio.fail_after(30):
                    while len(list(runners)) <= idle:  # noqa: ASYNC110 - the program tells nobody
                        await anyio.sleep(0.02)
                os.killpg(first, number)

            group.start_soon(kill)
            reply = await call(slot, SPIN)
        assert reply.outcome is Outcome.RUNNER_LOST
        assert (await call(slot, "def solve(): return 5")).value == 5
        assert next(iter(runners)) != first
    finally:
        await slot.aclose()


async def test_a_paused_runner_is_replaced(
    runners: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "GRACE_S", 0.2)
    monkeypatch.setattr("evolve.sandbox.process._EXIT_S", 0.2)
    slot = await ProcessSandbox().open_slot(0, LIMITS)
    try:
        for pid in runners:
            os.kill(pid, signal.SIGSTOP)
        reply = await call(slot, SPIN, Limits(wall_s=0.2))
        assert reply.outcome is Outcome.RUNNER_LOST
        monkeypatch.undo()
        assert (await call(slot, "def solve(): return 5")).value == 5
    finally:
        await slot.aclose()


CONTROLLER = f"""
import anyio
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job
from evolve.sandbox.process import ProcessSandbox

async def main():
    sandbox = ProcessSandbox()
    slot = await sandbox.open_slot(0, Limits())
    print(sandbox.provenance()["isolation"], flush=True)
    async with slot.session(Job(Program({{"p.py": {SPIN!r}}}), "solve", Limits())) as session:
        print((await session.call({{}})).outcome.value, flush=True)
    await slot.aclose()

anyio.run(main)
"""


async def test_nothing_outlives_a_killed_controller() -> None:
    controller = await anyio.to_thread.run_sync(
        lambda: subprocess.Popen([sys.executable, "-c", CONTROLLER], stdout=subprocess.PIPE)
    )
    with controller:
        assert controller.stdout is not None
        assert controller.stdout.readline()
        with anyio.fail_after(30):
            while len(started := below(controller.pid)) < 3:  # noqa: ASYNC110 - processes
                await anyio.sleep(0.02)
        controller.kill()
    await anyio.to_thread.run_sync(wait_for_the_end_of, started)
    await anyio.to_thread.run_sync(wait_for_the_end_of_folders, controller.pid)


def test_folders_of_living_controllers_are_left_alone() -> None:
    mine = Path(tempfile.mkdtemp(prefix=f"{Controller.this().folder_prefix}0-"))
    reap_folders()
    assert mine.exists()
    mine.rmdir()


WITHOUT_NAMESPACES = """
from evolve.sandbox.inside import kernel, seccomp
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install()  # refuses unshare, as many a container engine does
""" + CONTROLLER.replace(repr(SPIN), repr("def solve(): return 1"))


async def test_where_namespaces_are_refused_programs_still_run_and_it_says_so() -> None:
    done = await anyio.run_process([sys.executable, "-c", WITHOUT_NAMESPACES])
    isolation, outcome = done.stdout.decode().splitlines()
    assert "namespaces" not in isolation
    assert outcome == "ok"


async def test_a_runner_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    with anyio.fail_after(20), pytest.raises(SandboxUnavailable, match="did not connect: /bin/sh"):
        await ProcessSandbox().open_slot(0, LIMITS)


async def test_other_systems_are_told_to_use_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="kind: docker"):
        await ProcessSandbox().open_slot(0, LIMITS)


async def test_too_long_a_path_for_a_socket_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(SandboxUnavailable, match="TMPDIR"):
        await ProcessSandbox().open_slot(0, LIMITS)
    assert list(deep.iterdir()) == []


def test_code_from_a_model_is_accepted_only_on_request() -> None:
    assert not ProcessSandbox().accepts_untrusted
    assert ProcessSandbox(allow_untrusted=True).accepts_untrusted


@pytest.mark.slow
async def test_a_thousand_programs_leave_nothing_behind(runners: list[int]) -> None:
    slot = await ProcessSandbox().open_slot(0, LIMITS)
    try:
        await call(slot, "def solve(): return 5")
        descriptors = open_descriptors()
        processes = len(list(runners))
        for number in range(1000):
            assert (await call(slot, f"def solve(): return {number}")).value == number
        assert open_descriptors() == descriptors
        with anyio.fail_after(30):  # the last program may not have been waited for yet
            while len(list(runners)) > processes:  # noqa: ASYNC110 - processes
                await anyio.sleep(0.02)
    finally:
        await slot.aclose()
