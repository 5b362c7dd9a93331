"""The `process` sandbox: isolation by what the kernel gives an ordinary process. No Docker needed.

How strong it is depends on the machine. As root, or where user namespaces are allowed, a program
sees a file system, processes and a network of its own; elsewhere it is a process like any other
with limits. `ProcessSandbox.guarantees` tells which.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import ByteStream, Process

from evolve.core.errors import SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.resources import Device, Resources
from evolve.sandbox.base import ANY_RESOURCES
from evolve.sandbox.inside.options import RunnerOptions
from evolve.sandbox.inside.processes import Tree
from evolve.sandbox.private import BOOT, PrivateFolder, interpreter_folders, thread_environment
from evolve.sandbox.reaper import reap_folders
from evolve.sandbox.session import Greeting
from evolve.sandbox.slot import RunnerSlot
from evolve.sandbox.watchdog import watch

_START_S = 60.0
_CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")  #: device files that all GPUs share
_EXIT_S = 2.0  #: how long a runner has to clean up after its controller hung up
_LOG_BYTES = 2000
_FIRST_UID = 1 << 30  #: user ids from here on belong to nobody on customary systems
_UIDS = 1 << 16


def _prepare() -> None:
    watch()
    reap_folders()


class ProcessHost:
    """A runner as a child process of this one."""

    recycle_after = 10_000

    def __init__(self, index: int, limits: Limits, resources: Resources) -> None:
        self._index, self._limits, self._resources = index, limits, resources
        self._folder = PrivateFolder(index)
        self._process: Process | None = None

    async def start(self) -> ByteStream:
        """Start a runner and wait until it connects."""
        try:
            with anyio.fail_after(_START_S):
                return await self._folder.connection(self._launch, self._ended)
        except (TimeoutError, EOFError):
            said = self._folder.log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
            raise SandboxUnavailable(f"the runner did not connect: {said.strip()}") from None

    async def _launch(self) -> None:
        folder = self._folder
        with folder.log.open("wb") as log:
            self._process = await anyio.open_process(
                [sys.executable, *BOOT, str(folder.lib), self._options()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
            )

    async def _ended(self) -> None:
        assert self._process is not None
        await self._process.wait()

    def _options(self) -> str:
        folder, gpus = self._folder, self._resources.gpus
        first = _FIRST_UID + (secrets.randbelow(1 << 8) << 6 | self._index & 63) * _UIDS
        return RunnerOptions(
            socket=str(folder.socket),
            work=str(folder.work),
            uids=(first + 1, _UIDS - 1) if os.getuid() == 0 else (0, 0),
            readable=(*interpreter_folders(), str(folder.lib), *(("/sys",) if gpus else ())),
            disk_mb=self._limits.disk_mb,
            cpus=self._resources.cpus,
            gpus=bool(gpus),
            devices=device_files(gpus),
        ).to_json()

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
        if self._resources.gpus:
            ids = ",".join(gpu.id for gpu in self._resources.gpus)
            plain |= {"CUDA_VISIBLE_DEVICES": ids, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return plain | kept | thread_environment(self._resources.threads(self._limits.cpus))

    async def stop(self) -> None:
        """Wait for a runner that was hung up on; kill its process group when it does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.move_on_after(_EXIT_S):
            await process.wait()
        if process.returncode is None:
            Tree(process.pid, template=0, uid=0).kill()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def post_mortem(self) -> Outcome:
        """Blame the program: nothing else kills a runner."""
        return Outcome.RUNNER_LOST

    async def aclose(self) -> None:
        """Stop, and remove the private folder."""
        await self.stop()
        await anyio.to_thread.run_sync(self._folder.remove)


class ProcessSandbox:
    """Run programs in processes of this machine.

    Args:
        allow_untrusted: Let code written by a model run here, although the isolation is weaker
            than a container's.
    """

    name = "process"

    def __init__(self, *, allow_untrusted: bool = False) -> None:
        self.accepts_untrusted = allow_untrusted
        self._greeting: Greeting | None = None

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> RunnerSlot:
        """Start slot ``index``.

        Raises:
            SandboxUnavailable: not on Linux, or a runner does not start.
        """
        if sys.platform != "linux":
            raise SandboxUnavailable(
                "the process sandbox needs Linux; use `sandbox: {kind: docker}` on this machine"
            )
        await anyio.to_thread.run_sync(_prepare)
        slot = RunnerSlot(ProcessHost(index, limits, resources), resources.gpus)
        self._greeting = await slot.open()
        return slot

    def guarantees(self) -> list[str]:
        """Return what is and what is not isolated; exact once a slot has been opened."""
        if self._greeting is None:
            return ["a process of this machine; how isolated is known when a slot has been opened"]
        obtained = self._greeting.obtained
        apart, filtered = "namespaces" in obtained, "filter" in obtained
        return [
            "own file system (a read-only Python, a private folder), processes, network (none)"
            if apart
            else "not isolated: programs see this machine's files and processes as its user does "
            "(neither root nor user namespaces here)",
            _users(fresh="users" in obtained, apart=apart),
            "system calls filtered"
            + ("" if apart else "; no network, but the sockets of local services")
            if filtered
            else "system calls not filtered (the filter knows x86-64 machines)"
            + ("" if apart else "; not isolated: the network"),
            "empty environment; limits on memory and processes (looked at every 50 ms), CPU, time, "
            "file sizes and output; the process tree is killed and the private folder wiped",
            "CPU time is exact for a program's first process, and for the others once they end",
        ]

    def provenance(self) -> dict[str, str]:
        """Return the sandbox's kind, the interpreter, and the isolation obtained."""
        greeting = self._greeting
        if greeting is None:
            return {"sandbox": self.name}
        obtained = " ".join(sorted(greeting.obtained)) or "none"
        return {"sandbox": self.name, "isolation": obtained, "python": greeting.python}


def device_files(gpus: Sequence[Device], folder: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the files a program needs to use ``gpus``, those that exist: no other GPU's."""
    if not gpus:
        return ()
    names = [f"nvidia{gpu.minor}" for gpu in gpus if gpu.minor is not None]
    instances = ["nvidia-caps"] if any(gpu.is_instance for gpu in gpus) else []
    paths = (folder / name for name in dict.fromkeys([*_CONTROL, *names, *instances]))
    return tuple(str(path) for path in paths if path.exists())


def _users(*, fresh: bool, apart: bool) -> str:
    """Say whom programs run as, and whom they can therefore kill."""
    if fresh:
        return "a fresh user id for every program"
    if apart:
        return "programs run as the runner's user and can kill it, which ends their evaluation"
    return "not isolated: programs can kill the processes of the user they run as"
