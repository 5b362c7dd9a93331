"""A connection of its own between the controller and a slot, beside Ray's.

A call through an actor takes Ray about a millisecond, which an evaluator that drives a program call
by call pays thousands of times. Over a connection of its own the same parcels take a tenth. Where
the node cannot be reached directly, or Ray's own connections are encrypted, there is none, and
everything goes through Ray.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from evolve.pool.ray.parcel import Channel, Head
from evolve.sandbox.stream import SocketStream

#: Seconds a connection may take to be made, and to show its key.
_KNOCK_S = 3.0
_KEY_BYTES = 32
#: How a connection that nothing comes over, while a program runs long, is kept and looked after.
_ALIVE_S = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10))
    if hasattr(socket, name)
}
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Door:
    """Where the controller may come in: once, with the key that went to it through Ray.

    Args:
        host: This node's address, as others reach it.
    """

    def __init__(self, host: str) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._listener.setblocking(False)

    def invitation(self) -> dict[str, Any]:
        """Return what it takes to come in."""
        host, port = self._listener.getsockname()[:2]
        return {"host": host, "port": port, "key": self._key.hex()}

    async def serve(self, ask: Callable[[Head, bytes], Awaitable[bytes]]) -> None:
        """Let the controller in, and answer it until it leaves."""
        found: list[SocketStream] = []
        with self._listener:
            async with anyio.create_task_group() as tasks:
                while not found:
                    await anyio.wait_readable(self._listener)
                    with suppress(OSError):
                        stream = _stream(self._listener.accept()[0])
                        tasks.start_soon(self._admit, stream, found, tasks)
        channel = Channel(found[0])
        try:
            async with anyio.create_task_group() as tasks:
                with suppress(*_GONE):
                    while True:
                        head, data = await channel.receive()
                        tasks.start_soon(self._answer, channel, ask, head, data)
        finally:
            await channel.aclose()

    async def _admit(
        self, stream: SocketStream, found: list[SocketStream], tasks: TaskGroup
    ) -> None:
        shown = b""
        try:
            with anyio.move_on_after(_KNOCK_S), suppress(*_GONE):
                while len(shown) < _KEY_BYTES:
                    shown += await stream.receive(_KEY_BYTES - len(shown))
            if hmac.compare_digest(shown, self._key) and not found:
                found.append(stream)
                tasks.cancel_scope.cancel()
        finally:  # who is silent when another one comes in is turned away as well
            if stream not in found:
                await stream.aclose()

    async def _answer(
        self,
        channel: Channel,
        ask: Callable[[Head, bytes], Awaitable[bytes]],
        head: Mapping[str, Any],
        data: bytes,
    ) -> None:
        answer = await ask(head["ask"], data)
        with suppress(*_GONE):
            await channel.send({"n": head["n"]}, answer)


def open_door(host: str) -> Door | None:
    """Open a door on this node, unless Ray's connections are encrypted: ours would not be."""
    return None if os.environ.get("RAY_USE_TLS", "0") not in ("", "0") else Door(host)


async def knock(invitation: Mapping[str, Any] | None) -> Channel | None:
    """Come in; None where there is no way."""
    if not invitation:
        return None
    where = invitation["host"], invitation["port"]
    try:
        connected = await anyio.to_thread.run_sync(socket.create_connection, where, _KNOCK_S)
    except OSError:
        return None
    stream = _stream(connected)
    try:
        await stream.send(bytes.fromhex(invitation["key"]))
    except anyio.BrokenResourceError:  # reset by whoever took it
        await stream.aclose()
        return None
    return Channel(stream)


def _stream(connection: socket.socket) -> SocketStream:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _ALIVE_S.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return SocketStream(connection)
