"""The private folder's socket: one connection, and none that is forgotten."""

from __future__ import annotations

import socket

import anyio
import pytest

from evolve.sandbox.private import PrivateFolder


@pytest.mark.anyio
async def test_a_connection_is_closed_when_nobody_waits_for_it_any_more() -> None:
    folder = PrivateFolder(0)
    runner = socket.socket(socket.AF_UNIX)

    async def start() -> None:
        runner.connect(str(folder.socket))

    async def ended() -> None:
        with anyio.CancelScope(shield=True):  # as a request to an engine that does not answer
            await anyio.sleep(0.3)

    try:
        with anyio.move_on_after(0.1):
            await folder.connection(start, ended)
            pytest.fail("it came in time")
        runner.settimeout(5)
        assert runner.recv(1) == b""
    finally:
        runner.close()
        folder.remove()
