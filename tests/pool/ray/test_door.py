"""Who has the key comes in, once; everybody else is turned away."""

from __future__ import annotations

import socket
import struct
from typing import Any

import anyio
import pytest

from evolve.pool.ray.door import Door, knock, open_door
from evolve.pool.ray.parcel import Head, pack, unpack

pytestmark = pytest.mark.anyio


async def answer(head: Head, data: bytes) -> bytes:
    if head["do"] == "wait":
        await anyio.sleep_forever()
    return pack({"did": head["do"]}, data[::-1])


async def test_questions_are_answered_as_they_come() -> None:
    door = Door("127.0.0.1")
    invitation = door.invitation()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.serve, answer)
        with anyio.fail_after(60):
            channel = await knock(invitation)
            assert channel is not None
            await channel.send({"n": 1, "ask": {"do": "wait"}})
            await channel.send({"n": 2, "ask": {"do": "call"}}, b"abc")
            told, parcel = await channel.receive()
            assert told == {"n": 2}, "one that takes long holds nobody up"
            assert unpack(parcel) == ({"did": "call"}, b"cba")
            assert await knock(invitation) is None, "only one comes in"
            await channel.aclose()
        tasks.cancel_scope.cancel()


async def test_without_the_key_nobody_is_answered() -> None:
    door = Door("127.0.0.1")
    invitation = door.invitation()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.serve, answer)
        with anyio.fail_after(60):
            stranger = await knock({**invitation, "key": "00" * 32})
            assert stranger is not None
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stranger.receive()
            await stranger.aclose()
            channel = await knock(invitation)
            assert channel is not None
            await channel.send({"n": 1, "ask": {"do": "call"}})
            assert (await channel.receive())[0] == {"n": 1}
            await channel.aclose()
        tasks.cancel_scope.cancel()


async def test_who_is_silent_holds_nobody_up_and_is_turned_away() -> None:
    door = Door("127.0.0.1")
    invitation = door.invitation()
    silent = socket.create_connection((invitation["host"], invitation["port"]))
    with silent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(door.serve, answer)
            with anyio.fail_after(60):
                await anyio.wait_all_tasks_blocked()
                channel = await knock(invitation)
                assert channel is not None
                await channel.send({"n": 1, "ask": {"do": "call"}})
                assert (await channel.receive())[0] == {"n": 1}
                silent.settimeout(60)
                assert silent.recv(1) == b"", "closed"
                await channel.aclose()
            tasks.cancel_scope.cancel()


async def test_where_there_is_no_way_in_there_is_no_channel() -> None:
    with socket.socket() as closed:  # nobody listens there, and nobody else can
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert await knock({"host": "127.0.0.1", "port": port, "key": ""}) is None
    assert await knock(None) is None


async def test_a_connection_that_is_reset_at_once_is_no_way_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = socket.create_connection

    def connect_and_lose(*where: Any) -> socket.socket:
        connected = connect(*where)
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # with a reset, which is there when the key is sent
        return connected

    monkeypatch.setattr(socket, "create_connection", connect_and_lose)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert await knock({"host": "127.0.0.1", "port": port, "key": "00" * 32}) is None


async def test_encrypted_clusters_have_no_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert open_door("127.0.0.1") is None
