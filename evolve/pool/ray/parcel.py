"""Parcels: a few words of JSON and bytes nobody looks into. All that travels, travels so.

What a program returned is such bytes from the runner in its sandbox to the scorer: neither Ray nor
anything of ours unpickles it, or decodes it on the way.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteStream

from evolve.core.evaluation import Outcome, Usage
from evolve.sandbox.base import Reply, Report

Head: TypeAlias = Mapping[str, Any]

_SIZES = struct.Struct(">IQ")
_CHUNK = 1 << 18


def pack(head: Head, data: bytes = b"") -> bytes:
    """Return a parcel."""
    words = json.dumps(head).encode()
    return b"".join([_SIZES.pack(len(words), len(data)), words, data])


def unpack(parcel: bytes) -> tuple[dict[str, Any], bytes]:
    """Undo `pack`."""
    words, _ = _SIZES.unpack_from(parcel)
    middle = _SIZES.size + words
    return json.loads(parcel[_SIZES.size : middle]), parcel[middle:]


class Channel:
    """Parcels over a stream.

    Args:
        stream: Connected; closed with the channel.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._sending: list[bytes] = []

    async def send(self, head: Head, data: bytes = b"") -> None:
        """Send a parcel whole, after those that others are sending."""
        self._sending.append(pack(head, data))
        if len(self._sending) > 1:  # whoever began sends ours as well
            return
        try:
            with anyio.CancelScope(shield=True):  # half a parcel would be the end of the channel
                while self._sending:
                    await self._stream.send(self._sending[0])
                    self._sending.pop(0)
        finally:
            self._sending.clear()

    async def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next parcel.

        Raises:
            EndOfStream, BrokenResourceError, ClosedResourceError: there will be none.
        """
        await self._fill(_SIZES.size)
        length = _SIZES.size + sum(_SIZES.unpack_from(self._buffer))
        await self._fill(length)
        parcel = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return unpack(parcel)

    async def _fill(self, length: int) -> None:
        while len(self._buffer) < length:
            self._buffer += await self._stream.receive(_CHUNK)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


def reply_parcel(reply: Reply) -> bytes:
    """Return a reply as a parcel; a value travels in ``encoded``."""
    usage = reply.usage
    return pack(
        {
            "outcome": reply.outcome.value,
            "message": reply.message,
            "usage": [usage.wall_ns, usage.cpu_ns, usage.peak_memory_bytes],
        },
        reply.encoded,
    )


def reply_of(head: Head, data: bytes) -> Reply:
    """Undo `reply_parcel`, unpacked."""
    usage = Usage(*head["usage"])
    return Reply(Outcome(head["outcome"]), message=head["message"], usage=usage, encoded=data)


def report_parcel(report: Report) -> bytes:
    """Return a report as a parcel."""
    usage = report.usage
    return pack(
        {
            "usage": [usage.wall_ns, usage.cpu_ns, usage.peak_memory_bytes],
            "stdout": report.stdout,
            "stderr": report.stderr,
            "disturbed": report.disturbed,
        }
    )


def report_of(head: Head) -> Report:
    """Undo `report_parcel`, unpacked."""
    return Report(Usage(*head["usage"]), head["stdout"], head["stderr"], head["disturbed"])
