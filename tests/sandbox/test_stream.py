"""The stream under the protocol: partial sends, endings, closing while somebody waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import pytest

from evolve.sandbox.stream import SocketStream

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair() -> Iterator[tuple[SocketStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # whatever the machine's is
    with ours, theirs:
        yield SocketStream(ours), theirs


async def test_what_is_sent_arrives_and_waits_for_room(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, other = pair
    sent = bytes(range(256)) * 20_000
    reader = SocketStream(other)
    received = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, sent)
        while len(received) < len(sent):
            received += await reader.receive()
    assert bytes(received) == sent


async def test_only_what_fits_is_sent_now(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, _ = pair
    sent = bytes(8 << 20)
    rest = stream.send_now(sent)
    assert 0 < len(rest) < len(sent)


async def test_the_other_sides_end_is_an_end(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, other = pair
    other.send(b"last words")
    other.close()
    assert await stream.receive() == b"last words"
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await stream.send(b"too late")


async def test_who_waits_is_told_of_closing(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, _ = pair
    outcomes = []

    async def wait() -> None:
        try:
            await stream.receive()
        except anyio.ClosedResourceError:
            outcomes.append("closed")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.05)
            await stream.aclose()
            await stream.aclose()
    assert outcomes == ["closed"]
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send(b"x")
