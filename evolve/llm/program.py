"""Run a program to its end within limits, and leave nothing of it behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

#: Most bytes that are read of standard output; a program that writes more is stopped.
MOST_BYTES = 8 << 20
#: Bytes kept of the end of standard error.
_KEPT = 1 << 14
#: Every process of a program's tree inherits this variable, whatever session it moves to.
_MARK = "EVOLVE_CALL"


@dataclass(slots=True)
class Ended:
    """What came of a program.

    Attributes:
        status: Exit code; negative for a signal.
        stdout: Its standard output.
        stderr: The end of its standard error.
        stopped: Why it was stopped; empty when it ended by itself.
    """

    status: int = 0
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    stopped: str = ""


async def run_program(
    argv: Sequence[str], stdin: bytes, *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> Ended:
    """Run ``argv`` and kill whatever is left of its process tree, also when cancelled.

    Args:
        argv: Program and arguments.
        stdin: Written to its standard input; a program need not read it.
        cwd: Its working folder.
        env: Its whole environment.
        timeout_s: Seconds after which it is killed.

    Raises:
        OSError: it cannot be started.
    """
    mark = secrets.token_hex(16)
    ended = Ended()
    process = await anyio.open_process(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**env, _MARK: mark},
        start_new_session=True,
    )
    try:
        with anyio.move_on_after(timeout_s) as limit:
            await _converse(process, stdin, ended)
        if limit.cancelled_caught:
            ended.stopped = f"stopped after timeout_s, {timeout_s:g} s"
    finally:
        _kill_tree(process.pid, mark)
        with anyio.CancelScope(shield=True):
            ended.status = await process.wait()
            await process.aclose()
    return ended


async def _converse(process: Process, stdin: bytes, ended: Ended) -> None:
    """Feed the program and read what it says until it has ended and closed its output."""
    assert process.stdout is not None  # all three are pipes
    assert process.stderr is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_feed, process, stdin)
        tasks.start_soon(_keep_end, process.stderr, ended.stderr)
        async for chunk in process.stdout:
            ended.stdout += chunk
            if len(ended.stdout) > MOST_BYTES:
                ended.stopped = f"stopped after {MOST_BYTES >> 20} MiB of output"
                tasks.cancel_scope.cancel()
                return
        await process.wait()


async def _feed(process: Process, text: bytes) -> None:
    assert process.stdin is not None
    with suppress(anyio.BrokenResourceError, BrokenPipeError, ConnectionResetError):
        await process.stdin.send(text)
    with suppress(anyio.BrokenResourceError, BrokenPipeError, ConnectionResetError):
        await process.stdin.aclose()


async def _keep_end(stream: ByteReceiveStream, kept: bytearray) -> None:
    async for chunk in stream:
        kept += chunk
        del kept[:-_KEPT]


def _kill_tree(pid: int, mark: str) -> None:
    """Kill the program's process group, and what left it but still carries ``mark``."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(3):  # one that forks while we look is found at the next look
        found = list(_marked(f"{_MARK}={mark}".encode()))
        for other in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)
        if not found:
            return


def _marked(entry: bytes) -> Iterator[int]:
    """Yield the processes whose environment holds ``entry``, where ``/proc`` tells."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
