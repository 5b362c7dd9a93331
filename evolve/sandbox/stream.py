"""A connected socket as a stream that costs little per message.

anyio's own makes a stop at the event loop before every operation, and asyncio describes the socket
in an error it then drops, each time it waits. Small calls across the boundary would spend a third
of their time on that.
"""

from __future__ import annotations

import socket

import anyio
from anyio.abc import ByteStream


class SocketStream(ByteStream):
    """A stream over ``connection``, which it owns. Not for several readers or writers at once."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket, self._descriptor = connection, connection.fileno()
        self._closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what is there, waiting for the first byte.

        Raises:
            EndOfStream: the other side has closed.
            BrokenResourceError: the connection is broken.
            ClosedResourceError: this side has closed.
        """
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._descriptor)
            except OSError as error:
                raise self._broken() from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        """Send all of ``item``.

        Raises:
            BrokenResourceError: the connection is broken.
            ClosedResourceError: this side has closed.
        """
        rest = self.send_now(item)
        while rest:
            await anyio.wait_writable(self._descriptor)
            rest = self.send_now(rest)

    def send_now(self, item: bytes | memoryview) -> memoryview:
        """Send what the connection takes without waiting, and return the rest.

        Raises:
            BrokenResourceError: the connection is broken.
            ClosedResourceError: this side has closed.
        """
        rest = memoryview(item)
        try:
            while rest:
                rest = rest[self._socket.send(rest) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._broken() from error
        return rest

    async def send_eof(self) -> None:
        """Tell the other side that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close; who waits is told."""
        if not self._closed:
            self._closed = True
            anyio.notify_closing(self._descriptor)
            self._socket.close()

    def _broken(self) -> Exception:
        return anyio.ClosedResourceError() if self._closed else anyio.BrokenResourceError()
