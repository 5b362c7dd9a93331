"""The process that Ray knows: its driver, a child of the controller.

Ray ends a driver that has lost its cluster, and keeps threads, signal handlers and global state in
it. So the controller is none: it starts this process with a clean environment, speaks parcels with
it over a socket, and starts another when it is gone. The other way round, this process ends with
its controller's end of the socket, and Ray ends the actors of a driver that has ended.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from evolve.core.errors import reason_of
from evolve.pool.ray.actor import SlotActor
from evolve.pool.ray.parcel import Channel, Head, pack
from evolve.sandbox.stream import SocketStream

#: Bytes of shared inputs that are kept in the cluster's object store at most.
STORE_BYTES = 1 << 30
_SHUT_S = 20.0  #: for a slot to be given back before its actor is killed


class Driver:
    """Does what the controller asks for.

    Args:
        channel: To the controller.
        tasks: Where requests are seen to.
    """

    def __init__(self, channel: Channel, tasks: TaskGroup) -> None:
        self._channel, self._tasks = channel, tasks
        self._actors: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self._shared: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    async def run(self) -> None:
        """See to requests until the controller is gone."""
        while True:
            try:
                head, data = await self._channel.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            self._tasks.start_soon(self._serve, head, data)

    async def _serve(self, head: Head, data: bytes) -> None:
        do: Callable[[Head, bytes], Awaitable[bytes]] = {
            "connect": self._connect,
            "look": self._look,
            "open": self._open,
            "ask": self._ask,
            "close": self._close,
        }[head["do"]]
        try:
            answer = await do(head, data)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, in words
            answer = pack({_kind(error): _words(error)})
        await self._channel.send({"id": head["id"]}, answer)

    async def _connect(self, head: Head, _: bytes) -> bytes:
        options: dict[str, Any] = {}
        if head["address"] == "local":
            _guard_own()
            options = {"include_dashboard": False}
        import ray

        # In this thread: a cluster of our own ends with the thread that started it.
        ray.init(
            address=head["address"],
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            **options,
        )
        return await self._look(head, b"")

    async def _look(self, _: Head, __: bytes) -> bytes:
        """Return the nodes that live, with what they have in all."""
        import ray

        nodes = await anyio.to_thread.run_sync(ray.nodes)
        free = await anyio.to_thread.run_sync(ray.available_resources)
        alive = [
            {"address": node["NodeManagerAddress"], "resources": node["Resources"]}
            for node in nodes
            if node["Alive"]
        ]
        return pack({"nodes": alive, "free": free, "ray": ray.__version__})

    async def _open(self, head: Head, _: bytes) -> bytes:
        """Have an actor placed, which may wait for room for ever, and its slot opened."""
        import ray

        place = head["place"]
        # Nothing restarts by itself: what was lost is the controller's to know first.
        options = {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        actor_class: Any = ray.remote(SlotActor)
        make = actor_class.options(**options, **head["resources"]).remote
        given = head["index"], head["blueprint"], head["version"]
        # In a thread: it waits for the head, and slots that are there are called meanwhile.
        actor = self._actors[place] = await anyio.to_thread.run_sync(make, *given)
        if place in self._unwanted:
            return await self._close({**head, "gently": False}, b"")
        answer: bytes = await actor.open.remote()
        self._tasks.start_soon(self._mourn, place, actor)
        return answer

    async def _mourn(self, place: int, actor: Any) -> None:  # noqa: ANN401 - Ray's handle
        """Tell the controller when an actor has ended."""
        try:
            await actor.live.remote()
            why = "its actor has ended"
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, in words
            why = _words(error)
        if self._actors.pop(place, None) is not None:
            await self._channel.send({"gone": place, "why": why})

    async def _ask(self, head: Head, data: bytes) -> bytes:
        actor, digest = self._actors.get(head["place"]), head.get("share", "")
        if actor is None:
            return pack({"lost": "its actor has ended"})
        given: Any = data
        if digest:
            given = await self._share(digest, data)
            if given is None:
                return pack({"unknown": digest})
        answer: bytes = await actor.ask.remote(head["ask"], given)
        return answer

    async def _share(self, digest: str, data: bytes) -> Any:  # noqa: ANN401 - Ray's reference
        """Return the reference of large inputs in the object store; None when they are not there.

        A node fetches them when it first needs them, and has them from then on.
        """
        import ray

        if digest not in self._shared:
            if not data:
                return None
            reference = await anyio.to_thread.run_sync(ray.put, data)
            self._shared[digest] = reference, len(data)
            while sum(size for _, size in self._shared.values()) > STORE_BYTES:
                self._shared.popitem(last=False)
            return reference
        self._shared.move_to_end(digest)
        return self._shared[digest][0]

    async def _close(self, head: Head, _: bytes) -> bytes:
        """End an actor, with a chance to give its slot back if ``gently``."""
        import ray

        actor = self._actors.pop(head["place"], None)
        if actor is None:
            self._unwanted.add(head["place"])  # in case it is only about to be there
            return pack({})
        try:
            if head["gently"]:
                with anyio.move_on_after(_SHUT_S):
                    await actor.shut.remote()
        finally:
            await anyio.to_thread.run_sync(ray.kill, actor)
        return pack({})


def _kind(error: Exception) -> str:
    """Return what it means: an actor that is gone, or that cannot be reached just now, or neither.

    Whether a call reached an actor that cannot be reached, nobody knows.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    if "ActorUnavailableError" in names:
        return "silent"
    return "lost" if "RayActorError" in names else "trouble"


def _words(error: Exception) -> str:
    """Return the first lines of what Ray says: the rest are its own traces and hints."""
    lines = [line.strip() for line in reason_of(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:600]


async def _main(descriptor: int) -> None:
    channel = Channel(SocketStream(socket.socket(fileno=descriptor)))
    async with anyio.create_task_group() as tasks:
        await Driver(channel, tasks).run()
        tasks.cancel_scope.cancel()


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what of the controller's environment Ray may have: no key of anybody's."""
    names = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    kept = {
        name: value
        for name, value in variables.items()
        if name in names or name.startswith(("RAY_", "CUDA_", "DOCKER_"))
    }
    return {"RAY_USAGE_STATS_ENABLED": "0", **kept}


def _guard_own() -> None:
    """Let nobody else use a cluster of the run's own: its token is known to this process alone."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def main() -> None:
    """Run until the socket, whose descriptor is the only argument, is closed."""
    descriptor = int(sys.argv[1])
    try:
        anyio.run(_main, descriptor)
    finally:
        # Ray's own ending may wait for a cluster that does not answer. Its actors end with us.
        os._exit(0)


if __name__ == "__main__":
    main()
