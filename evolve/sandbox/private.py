"""A slot's private folder on this machine: the runner's code, its socket, room to work."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener

from evolve.core.errors import SandboxUnavailable
from evolve.sandbox.reaper import Controller, remove_folder
from evolve.sandbox.stream import SocketStream

#: What an interpreter is started with to become a runner; its arguments are the folder of the
#: runner's code and the options. -s -P -B: no packages of the user's, nothing from the current
#: folder, no bytecode written.
BOOT = (
    *("-s", "-P", "-B", "-c"),
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from evolve.sandbox.inside.runner import main; main()",
)
_LONGEST_SOCKET = 107  #: bytes of a socket's path, by the kernel's structure for it
_HERE = Path(__file__).parent
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


class PrivateFolder:
    """A folder for one slot.

    Its name says whose it is. Nobody but its owner gets at the socket; a runner connects before
    it gives up being the owner.

    Args:
        index: The slot's number, for people who look into the folder.

    Attributes:
        path: The folder.
        lib: The code that runs inside, to be read by anyone.
        work: Where programs get folders of their own, when the runner has no better place.
        log: What the runner says before it can speak the protocol.
        socket: Where it connects to.
    """

    def __init__(self, index: int) -> None:
        prefix = f"{Controller.this().folder_prefix}{index}-"
        self.path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        self.lib = self.path / "lib"
        self.work = self.path / "work"
        self.log = self.path / "runner.log"
        self.socket = self.path / "private" / "socket"
        self.socket.parent.mkdir(mode=0o700)
        self.path.chmod(0o711)
        self.work.mkdir(mode=0o711)
        self.work.chmod(0o711)
        self._copy_runner()
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            self.remove()
            raise SandboxUnavailable(
                f"{self.path} is too long a path for a socket; set TMPDIR to a shorter folder"
            )

    def _copy_runner(self) -> None:
        """Copy what runs inside: a sandbox sees nothing else of this package."""
        target = self.lib / "evolve" / "sandbox"
        shutil.copytree(
            _HERE / "inside", target / "inside", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copyfile(_HERE / "wire.py", target / "wire.py")
        for package in (target.parent, target):
            (package / "__init__.py").touch()
        for path in [self.lib, *self.lib.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    async def connection(
        self, start: Callable[[], Awaitable[None]], ended: Callable[[], Awaitable[object]]
    ) -> ByteStream:
        """Listen on the socket, ``start`` a runner, and return its connection.

        No second one is taken: the socket is gone before a program runs.

        Raises:
            EOFError: the runner has ``ended`` before it connected.
        """
        self.socket.unlink(missing_ok=True)
        # Everyone may write to it: in a container, root is not this machine's.
        listener = await anyio.create_unix_listener(self.socket, mode=0o666)
        assert isinstance(listener, SocketListener)
        connection: socket.socket | None = None
        try:
            await start()
            async with anyio.create_task_group() as group:

                async def watch() -> None:
                    await ended()
                    group.cancel_scope.cancel()

                group.start_soon(watch)
                stream = await listener.accept()
                # The descriptor is taken over: anyio's own stream is forgotten, not closed.
                accepted = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
                connection = socket.socket(fileno=accepted.detach())
                group.cancel_scope.cancel()
        except BaseException:  # cancelled while `ended` waits for an engine that does not answer
            if connection is not None:
                connection.close()
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await listener.aclose()
            self.socket.unlink(missing_ok=True)
        if connection is None:
            raise EOFError
        return SocketStream(connection)

    def remove(self) -> None:
        """Remove the folder, whatever a program may have left in it."""
        remove_folder(self.path)


def interpreter_folders() -> tuple[str, ...]:
    """Return the folders this interpreter needs to read in order to run."""
    return tuple(dict.fromkeys(map(os.path.realpath, (sys.base_prefix, sys.prefix))))


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that keep numerical libraries to so many ``threads``."""
    return {f"{name}_NUM_THREADS": str(threads) for name in _THREADS}
