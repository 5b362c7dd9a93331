"""The Docker engine, asked from worker threads: its library blocks."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from evolve.core.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

T = TypeVar("T")

REQUEST_S = 60  #: limit of one request
_AT_ONCE = 8
_DEFAULT_HOST = "unix:///var/run/docker.sock"
_WAY_OUT = (
    "start Docker (or set DOCKER_HOST), or run programs in processes of this machine: "
    "`sandbox: {kind: process}`, for code from a model with `allow_untrusted: true`"
)


class Engine:
    """A connection to the engine that `DOCKER_HOST`, or custom, names.

    Raises:
        SandboxUnavailable: there is none, or this user may not use it.
    """

    def __init__(self) -> None:
        self.client = _connect()
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        self._unwanted: set[str] = set()  #: containers that are to go

    async def ask(self, function: Callable[[], T]) -> T:
        """Return what ``function``, which talks to the engine, returns.

        Raises:
            SandboxUnavailable: the engine refuses, or does not answer within `REQUEST_S`.
        """
        from docker.errors import DockerException

        try:
            return await anyio.to_thread.run_sync(self.ask_now, function, limiter=self._limiter)
        except (DockerException, OSError) as error:  # requests' errors are OSErrors
            raise SandboxUnavailable(f"the Docker engine: {error}") from error

    async def discard(self, name: str) -> None:
        """Remove a container, running or not; one that will not go is tried again with the next.

        It need not be there: an engine that went away over a request may have made it or not.
        """
        from docker.errors import NotFound

        self._unwanted.add(name)
        for each in sorted(self._unwanted):
            try:
                await self.ask(partial(self.client.api.remove_container, each, force=True, v=True))
            except SandboxUnavailable as error:
                if not isinstance(error.__cause__, NotFound):
                    continue
            self._unwanted.discard(each)

    def ask_now(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns, and keep no connection: a sandbox has no end."""
        _knock()
        try:
            return function()
        finally:
            self.client.close()


def _connect() -> docker.DockerClient:
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise SandboxUnavailable("Docker's library is missing: pip install docker") from None
    try:
        _knock()
        client = docker.from_env(timeout=REQUEST_S)
        client.ping()
    except (DockerException, OSError) as error:
        if "ermission" in str(error):
            advice = "this user may not use the Docker engine: add it to the group `docker`, or "
        else:
            advice = "no Docker engine answers: "
        raise SandboxUnavailable(f"{advice}{_WAY_OUT} ({error})") from error
    return client


def _knock() -> None:
    """Try the engine's local socket: on one that nobody serves, docker's client leaks a socket.

    Raises:
        OSError: nobody serves it.
    """
    host = os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(REQUEST_S)
            knock.connect(host.removeprefix("unix://"))
