"""The `docker` sandbox: one hardened container per slot, with a resident runner inside.

No network, a read-only root, no capability but the three the runner needs to change user ids, no
new privileges, limits on memory, processes and CPU, two small file systems in memory to write to,
no logs. The container listens to nothing: the runner connects to a socket of ours, and ends with
its container when that socket closes.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.to_thread
from anyio import from_thread
from anyio.abc import ByteStream

from evolve.core.errors import SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.recipe import ImageRecipe
from evolve.core.resources import Resources, ranges
from evolve.sandbox.base import ANY_RESOURCES
from evolve.sandbox.engine import REQUEST_S, Engine
from evolve.sandbox.image import Image, Say, ensure_image, find_image
from evolve.sandbox.inside.options import RunnerOptions
from evolve.sandbox.private import BOOT, PrivateFolder, thread_environment
from evolve.sandbox.reaper import LABEL, Controller, reap_containers, reap_folders
from evolve.sandbox.runtimes import Runtime, find_runtime
from evolve.sandbox.session import Greeting
from evolve.sandbox.slot import RunnerSlot
from evolve.sandbox.watchdog import watch

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

_START_S = 120.0
_LOOK_S = 1.0
_SESSIONS = 10_000  #: programs after which a container is replaced all the same
_RUNNER_MB = 160  #: for the runner and its libraries, beside what a program may use and return
_RUNNER_PROCESSES = 8
_INODES = 8192
#: User ids of programs: within the 65536 that engines without root, or with remapping, have.
#: Neighbouring slots use different ones, since the kernel counts some resources per user.
_FIRST_UID, _RANGES = 10_000, 5
_LIB, _SOCKET, _WORK = "/opt/evolve", "/run/evolve.sock", "/run/program"
#: Folders of the container that a program may be able to write to; gVisor makes the last one so.
_WRITABLE = ("/dev/shm", "/dev/mqueue", "/tmp")  # noqa: S108 - the container's own
#: How engines say that they have no NVIDIA Container Toolkit.
_NO_TOOLKIT = ("could not select device driver", "failed to discover GPU vendor")
_KILLED = 137  #: exit status of a container that was killed


class DockerHost:
    """A runner in a container.

    Args:
        engine: Where containers are made.
        index: The slot's number.
        settings: Arguments of ``containers.create`` but the name, the command and the volumes.
        recycle_after: Sessions after which the container is replaced.
    """

    def __init__(
        self, engine: Engine, index: int, settings: dict[str, Any], *, recycle_after: int
    ) -> None:
        self.recycle_after = recycle_after
        self._engine, self._index, self._settings = engine, index, settings
        self._folder = PrivateFolder(index)
        self._container: Container | None = None
        self._name = ""  #: of the container that there may be

    async def start(self) -> ByteStream:
        """Start a container and wait until its runner connects."""
        try:
            with anyio.fail_after(_START_S):
                return await self._folder.connection(self._launch, self._ended)
        except (TimeoutError, EOFError):
            raise SandboxUnavailable(
                "the runner in the container did not connect: the image needs `python3` of "
                "version 3.11 or later in its PATH, and the engine this machine's files"
            ) from None

    async def _launch(self) -> None:
        options = RunnerOptions(
            socket=_SOCKET,
            work=_WORK,
            shared=_WRITABLE,
            uids=(_FIRST_UID + self._index % _RANGES * (_SESSIONS + 1), _SESSIONS),
            cgroup=True,
            gpus="device_requests" in self._settings,
        )
        create = self._engine.client.containers.create
        with anyio.CancelScope(shield=True):  # what exists must be known, so that it can be removed
            name = f"evolve-{Controller.this().pid}-{self._index}-{secrets.token_hex(4)}"
            self._name = name
            container = await self._engine.ask(
                lambda: create(
                    name=name,
                    command=["python3", *BOOT, _LIB, options.to_json()],
                    volumes={
                        str(self._folder.lib): {"bind": _LIB, "mode": "ro"},
                        str(self._folder.socket): {"bind": _SOCKET, "mode": "rw"},
                    },
                    **self._settings,
                )
            )
            self._container = container
            try:
                await self._engine.ask(container.start)
            except SandboxUnavailable as error:
                raise _explained(error) from error

    async def _ended(self) -> None:
        container = self._container
        assert container is not None
        with suppress(SandboxUnavailable):  # gone altogether
            while container.status not in ("exited", "dead"):
                await anyio.sleep(_LOOK_S)
                await self._engine.ask(container.reload)

    async def stop(self) -> None:
        """Remove the container, running or not."""
        self._container = None
        name, self._name = self._name, ""
        if name:
            await self._engine.discard(name)

    async def post_mortem(self) -> Outcome:
        """Ask the engine why the runner is gone."""
        container = self._container
        if container is None:
            return Outcome.INFRASTRUCTURE
        try:
            await self._engine.ask(lambda: container.wait(timeout=REQUEST_S))
            await self._engine.ask(container.reload)
        except SandboxUnavailable:
            return Outcome.INFRASTRUCTURE
        state = container.attrs["State"]
        if state["OOMKilled"]:
            return Outcome.OUT_OF_MEMORY
        # A program has no right to signal the runner: whoever killed it came from outside.
        return Outcome.INFRASTRUCTURE if state["ExitCode"] == _KILLED else Outcome.RUNNER_LOST

    async def aclose(self) -> None:
        """Remove the container and the private folder."""
        await self.stop()
        await anyio.to_thread.run_sync(self._folder.remove)


class DockerSandbox:
    """Run programs in containers of a Docker engine.

    Args:
        image: Name of the image to run in, which needs Python 3.11 or later, or what to make it
            from. None makes one from this Python.
        isolation: ``slot`` keeps a container for many programs, each a fresh process of a fresh
            user; ``container`` starts a container for every program.
        runtime: The engine's runtime, for instance ``runsc``; None for its default.
        run_label: Value of the containers' ``evolve.run`` label.
        say: Told what takes time, such as making the image.
    """

    name = "docker"
    accepts_untrusted = True

    def __init__(
        self,
        *,
        image: str | ImageRecipe | None = None,
        isolation: Literal["slot", "container"] = "slot",
        runtime: str | None = None,
        run_label: str = "",
        say: Say = lambda _: None,
    ) -> None:
        self._recipe = ImageRecipe(name=image) if isinstance(image, str) else image or ImageRecipe()
        self._isolation, self._say = isolation, say
        self._wanted_runtime, self._run_label = runtime, run_label
        self._runtime = Runtime(runtime or "")
        self._ready: tuple[Engine, Image] | None = None
        self._greeting: Greeting | None = None
        self._devices = "no devices"
        self._preparing = anyio.Lock()

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> RunnerSlot:
        """Start slot ``index``.

        Raises:
            SandboxUnavailable: no engine, no image, no such runtime, or a container that does not
                start.
        """
        async with self._preparing:
            if self._ready is None:
                self._ready = await anyio.to_thread.run_sync(self._prepare)
        engine, image = self._ready
        settings = self._settings(index, limits, resources, image)
        recycle_after = 1 if self._isolation == "container" else _SESSIONS
        host = DockerHost(engine, index, settings, recycle_after=recycle_after)
        slot = RunnerSlot(host, resources.gpus)
        self._greeting = await slot.open()
        if resources.gpus:
            self._devices = "no devices but the GPUs of its slot"
        return slot

    def _prepare(self) -> tuple[Engine, Image]:
        engine = Engine()
        watch(docker=True)
        reap_folders()
        return engine, engine.ask_now(lambda: self._look_around(engine.client))

    def _look_around(self, client: docker.DockerClient) -> Image:
        """Check the runtime, remove what is left of dead controllers, and find the image."""
        from docker.errors import DockerException

        try:
            self._runtime = find_runtime(client, self._wanted_runtime)
            reap_containers(client)
            name = self._recipe.name
            image = (
                find_image(client, name)
                if name
                else ensure_image(client, self._recipe, say=self._say_outside)
            )
        except DockerException as error:
            raise SandboxUnavailable(f"the Docker engine: {error}") from error
        if image is None:
            raise SandboxUnavailable(
                f"there is no image {name!r} on this Docker engine: `docker pull` or build it "
                "first (`evolve image build --help`), or leave `image` out for one made from this "
                "Python"
            )
        return image

    def _say_outside(self, text: str) -> None:
        """Say something from a worker thread where the loop is."""
        from_thread.run_sync(self._say, text)

    def _settings(
        self, index: int, limits: Limits, resources: Resources, image: Image
    ) -> dict[str, Any]:
        """Return what hardens a container and what limits it."""
        memory = f"{limits.memory_mb + _RUNNER_MB + 2 * limits.result_mb}m"
        memory_files = f"rw,nosuid,nodev,size={limits.disk_mb}m,nr_inodes={_INODES}"
        return {
            "image": image.digest,
            "entrypoint": "",
            "labels": {
                LABEL: str(Controller.this()),
                "evolve.slot": str(index),
                "evolve.run": self._run_label,
            },
            "environment": {
                "PYTHONHASHSEED": "0",
                **_gpu_environment(resources),
                **thread_environment(resources.threads(limits.cpus)),
            },
            "hostname": "sandbox",
            "user": "0",
            "working_dir": "/",
            "network_mode": "none",
            "ipc_mode": "private",
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": ["SETUID", "SETGID", "CHOWN"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": self._runtime.most_processes(limits.processes + _RUNNER_PROCESSES),
            "mem_limit": memory,
            "memswap_limit": memory,
            **_cpu_settings(limits, resources),
            **_gpu_settings(resources),
            "tmpfs": {
                _WORK: f"{memory_files},exec,mode=0711",
                "/dev/shm": f"{memory_files},noexec,mode=1777",  # noqa: S108 - the container's own
            },
            "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "log_config": {"Type": "none"},
            "runtime": self._wanted_runtime,
            "init": False,
        }

    def guarantees(self) -> list[str]:
        """Return what is and what is not isolated; exact once a slot has been opened."""
        obtained = self._greeting.obtained if self._greeting else {"filter", "cgroup"}
        return [
            "isolation: a container of its own for every program, started ahead"
            if self._isolation == "container"
            else "isolation: a container per slot; in it a fresh process and a fresh user id for "
            "every program",
            f"no network, {self._devices}, a read-only root, no capabilities, no new privileges",
            "memory, CPU, processes, disk, time and output are limited; everything a program "
            "started is killed, everything it wrote is wiped",
            "system calls: the engine's filter and our own"
            if "filter" in obtained
            else "system calls: the engine's filter only; ours knows x86-64 machines",
            "CPU time is the container's own account: nothing a program starts escapes it"
            if "cgroup" in obtained
            else "CPU time, memory and processes are added up over a program's processes every "
            "50 ms: this runtime shows no account of the container's own",
            "the kernel is gVisor's, between programs and this machine's"
            if self._runtime.gvisor
            else "not isolated: the kernel is this machine's",
        ]

    def provenance(self) -> dict[str, str]:
        """Return the image and its digest, the runtime and the interpreter."""
        engine = (
            {"image": self._ready[1].tag, "digest": self._ready[1].digest} if self._ready else {}
        )
        python = {"python": self._greeting.python} if self._greeting else {}
        return {
            "sandbox": self.name,
            "isolation": self._isolation,
            "runtime": self._runtime.name or "default",
            **engine,
            **python,
        }


def _cpu_settings(limits: Limits, resources: Resources) -> dict[str, Any]:
    """Return what keeps a container to its CPUs.

    Whole CPUs of its own need no quota: a quota interrupts a program now and then, which shows in
    its times.
    """
    if not resources.cpus:
        return {"nano_cpus": round(limits.cpus * 1e9)}
    whole = limits.cpus >= len(resources.cpus)
    quota = {} if whole else {"nano_cpus": round(limits.cpus * 1e9)}
    return {"cpuset_cpus": ranges(resources.cpus)} | quota


def _gpu_settings(resources: Resources) -> dict[str, Any]:
    """Return the request for the devices that are lent."""
    if not resources.gpus:
        return {}
    from docker.types import DeviceRequest

    ids = [gpu.id for gpu in resources.gpus]
    capabilities = [["gpu", "compute", "utility"]]
    return {"device_requests": [DeviceRequest(device_ids=ids, capabilities=capabilities)]}


def _gpu_environment(resources: Resources) -> dict[str, str]:
    """Return the variables that tell programs of devices: within, they count from 0."""
    if not resources.gpus:  # else the images of GPU libraries ask for all of them
        return {"NVIDIA_VISIBLE_DEVICES": "void"}
    numbers = ",".join(map(str, range(len(resources.gpus))))
    return {"CUDA_VISIBLE_DEVICES": numbers, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _explained(error: SandboxUnavailable) -> SandboxUnavailable:
    """Add the way out to an engine's refusal of devices."""
    if not any(sign in str(error) for sign in _NO_TOOLKIT):
        return error
    return SandboxUnavailable(
        "the Docker engine cannot lend GPUs: install the NVIDIA Container Toolkit, run `nvidia-ctk "
        f"runtime configure --runtime=docker`, and restart the engine ({error})"
    )
