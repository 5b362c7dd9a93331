"""Claims on parts of this machine that hold against other runs, and end with the process.

A claim is a lock on a file in the folder for temporary files, taken with ``flock``: the kernel lets
go of it however its holder ends. What a claim says is nothing but "somebody has this".
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

_LOOK_S = (0.002, 0.05)  #: first and longest wait between two looks at a lock


class Claims:
    """The claims of this process; given up on leaving the context.

    Args:
        folder: Where claims lie; default: the folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._held: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Claim ``name``; return whether nobody, this process included, had it."""
        descriptor = self._open(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def release(self, name: str) -> None:
        """Give up a claim."""
        os.close(self._held.pop(name))

    @asynccontextmanager
    async def waiting_for(self, name: str) -> AsyncIterator[None]:
        """Claim ``name`` as soon as it is free, and hold it until the context is left."""
        wait, longest = _LOOK_S
        while not self.take(name):
            await anyio.sleep(wait)
            wait = min(2 * wait, longest)
        try:
            yield
        finally:
            self.release(name)

    def _open(self, name: str) -> int:
        path = self._folder / f"evolve-{name}.lock"
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT)
            os.fchmod(descriptor, 0o644)  # for runs of other users, whatever the umask
            return descriptor
