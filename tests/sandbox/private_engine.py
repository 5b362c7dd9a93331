"""A Docker engine of a test's own, which it may kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker


class PrivateEngine:
    """A daemon with its own folders and socket.

    Args:
        folder: Where all of it lies; a short path, for the sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.tools = folder / "bin"  #: found before others by the daemon
        self.tools.mkdir()
        (folder / "daemon.json").write_text("{}")

    def start(self) -> None:
        """Start the daemon and wait until it listens."""
        folder = self._folder
        command: list[str | Path] = [
            "dockerd",
            *("--iptables=false", "--ip6tables=false", "--bridge=none", "--host", self.host),
            *("--config-file", folder / "daemon.json", "--pidfile", folder / "pid"),
            *("--data-root", folder / "data", "--exec-root", folder / "exec"),
        ]
        environment = os.environ | {"PATH": f"{self.tools}:{os.environ['PATH']}"}
        with (folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not (folder / "docker.sock").exists():
            said = (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, said
            assert self._daemon.poll() is None, said
            time.sleep(0.1)

    def stop(self) -> None:
        """End the daemon, and with it its containers."""
        self._daemon.terminate()
        self._daemon.wait(timeout=60)
        (self._folder / "docker.sock").unlink(missing_ok=True)

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """Connect to it."""
        connection = docker.DockerClient(base_url=self.host)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def private_engine() -> Iterator[PrivateEngine]:
    """Make an engine, not started, and remove what it leaves."""
    folder = Path(tempfile.mkdtemp(prefix="evd-"))
    engine = PrivateEngine(folder)
    try:
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
