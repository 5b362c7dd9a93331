"""Containers under gVisor, on an engine of the test's own that knows the runtime."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import docker
import pytest
from docker.errors import DockerException

from evolve.core.errors import SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job, Reply, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.engine import Engine

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.docker,
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("runsc") and shutil.which("dockerd")),
        reason="needs root, dockerd and gVisor's runsc (Debian: apt-get install runsc)",
    ),
]

LIMITS = Limits(wall_s=60.0, memory_mb=128, processes=12, disk_mb=16)
#: What docs/sandboxes.md tells to put into daemon.json.
RUNTIMES = {
    "runtimes": {
        "runsc": {
            "path": shutil.which("runsc") or "runsc",
            "runtimeArgs": ["--platform=ptrace", "--network=none", "--host-uds=open"],
        }
    }
}


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Start an engine; give its address."""
    folder = Path(tempfile.mkdtemp(prefix="evolve-engine-", dir="/var/tmp"))
    (folder / "daemon.json").write_text(json.dumps(RUNTIMES))
    address = f"unix://{folder}/docker.sock"
    options = {"config-file": "daemon.json", "data-root": "data", "exec-root": "exec"}
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", address]
            + [f"--{name}={folder}/{place}" for name, place in options.items()]
            + [f"--pidfile={folder}/pid"],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(address, daemon)
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)
        subprocess.run(["umount", "-R", "-q", str(folder / "data")], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str, daemon: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert daemon.poll() is None, "the engine ended at once"
        try:
            client = docker.DockerClient(base_url=address)
            client.ping()
            client.close()
        except DockerException:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the engine did not start")


async def call(slot: Slot, source: str, limits: Limits = LIMITS) -> Reply:
    async with slot.session(Job(Program({"p.py": source}), "solve", limits)) as session:
        return await session.call({})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_programs_run_under_gvisors_kernel_and_leave_nothing(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    with pytest.raises(SandboxUnavailable, match="no runtime 'runscc'; it has: runc, runsc"):
        await DockerSandbox(runtime="runscc").open_slot(0, LIMITS)
    sandbox = DockerSandbox(runtime="runsc")
    slot = await sandbox.open_slot(0, LIMITS)
    try:
        client = await anyio.to_thread.run_sync(lambda: Engine().client)
        [before] = await anyio.to_thread.run_sync(client.containers.list)
        kernel = await call(slot, "def solve(): return open('/proc/version').read()")
        assert kernel.value == "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n"
        spun = await call(slot, "def solve():\n    while True: pass", Limits(wall_s=0.5))
        assert spun.outcome is Outcome.WALL_TIMEOUT
        filled = await call(slot, "def solve(): return len(b'x' * (300 << 20))")
        assert filled.outcome in (Outcome.OUT_OF_MEMORY, Outcome.EXCEPTION), filled
        planting = "def solve():\n    for d in ('/tmp', '/dev/shm'): open(d + '/left', 'w')"
        assert (await call(slot, planting)).outcome is Outcome.OK
        seen = await call(slot, "import os\ndef solve(): return os.listdir('/tmp')")
        assert seen.value == []
        [after] = await anyio.to_thread.run_sync(client.containers.list)
        assert after.id == before.id  # clean every time, so never replaced
        client.close()
    finally:
        await slot.aclose()
    assert "gVisor" in sandbox.guarantees()[-1]
