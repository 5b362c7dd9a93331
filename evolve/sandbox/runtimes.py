"""The runtimes an engine can start containers with: its own `runc`, or a stronger one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from evolve.core.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

_GVISOR = "runsc"
#: gVisor's own threads count among a container's processes on this machine.
_GVISOR_PROCESSES = 1024


@dataclass(frozen=True, slots=True)
class Runtime:
    """What starts a container.

    Attributes:
        name: As the engine calls it; empty for the engine's default.
        gvisor: Whether it is gVisor, which answers system calls itself.
    """

    name: str = ""
    gvisor: bool = False

    def most_processes(self, wanted: int) -> int:
        """Return the container's limit that leaves ``wanted`` processes to what runs inside."""
        return wanted + _GVISOR_PROCESSES if self.gvisor else wanted


def find_runtime(client: docker.DockerClient, name: str | None) -> Runtime:
    """Return the runtime called ``name``; None for the engine's default.

    Raises:
        SandboxUnavailable: the engine has none of that name.
    """
    if name is None:
        return Runtime()
    known = runtimes(client)
    if name not in known:
        raise SandboxUnavailable(
            f"the Docker engine has no runtime {name!r}; it has: {', '.join(sorted(known))}. "
            "Runtimes are named in the engine's /etc/docker/daemon.json"
        )
    return Runtime(name, gvisor=PurePosixPath(known[name]).name == _GVISOR)


def runtimes(client: docker.DockerClient) -> dict[str, str]:
    """Return the engine's runtimes: name to program."""
    found: dict[str, Any] = client.info().get("Runtimes") or {}
    # Names of containerd's shims are other ways to call these.
    return {
        name: str(each.get("path", ""))
        for name, each in found.items()
        if not name.startswith("io.")
    }
