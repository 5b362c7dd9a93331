"""A small process that outlives its controller by a moment, to remove what that left behind.

A runner ends when its controller's end of the socket closes, however that came about. What it
cannot see to is its own private folder, a container that was made and never started, a runner that
was frozen. The watchdog waits for the end of a pipe that only its controller holds, so it notices
`kill -9` as well; what it misses, because it was killed too, the next controller's reaper finds. It
is nobody's child: a controller that is told to end by its own parent may take its children with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from evolve.core.errors import SandboxUnavailable
from evolve.sandbox.reaper import Controller, kill_runners, reap_containers, reap_folders

_BOOT = (
    *("-s", "-P", "-B", "-c"),
    "import json, os, sys; os.fork() and os._exit(0); sys.path[:] = json.loads(sys.argv.pop()); "
    "from evolve.sandbox.watchdog import main; main()",
)
_SETTINGS = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK")
_DOCKER = b"d"  #: what it is told once there are containers
_GRACE_S = 1.0  #: for runners to end by themselves
_GONE_S = 5.0  #: for the controller to be gone once its pipe is closed
_PATIENCE_S = 60.0  #: for an engine that does not answer
_RETRY_S = 2.0

_lock = threading.Lock()
_ours: tuple[int, int] | None = None  #: whose it is, and the pipe it waits for


def watch(*, docker: bool = False) -> None:
    """Have a watchdog for this process, and tell it whether there are containers to look for."""
    global _ours  # noqa: PLW0603 - one for the whole process, whoever asks first
    with _lock:
        if _ours is None or _ours[0] != os.getpid():
            _ours = (os.getpid(), _start())
        if docker:
            os.write(_ours[1], _DOCKER)


def _start() -> int:
    source, sink = os.pipe()
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _SETTINGS or name.startswith("DOCKER_")
    }
    modules = json.dumps([os.path.abspath(folder) for folder in sys.path])  # noqa: PTH100 - text
    try:
        parent = os.posix_spawn(
            sys.executable,
            [sys.executable, *_BOOT, str(Controller.this()), modules],
            kept,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,  # Ctrl-C is for the controller
        )
        os.waitpid(parent, 0)
    finally:
        os.close(source)
    return sink


def main() -> None:
    """Wait for the end of the controller named by the only argument, and clean up after it."""
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    controller = Controller.parse(sys.argv[1])
    said = b""
    while data := os.read(0, 4096):
        said = data
    if controller is None:
        return
    deadline = time.monotonic() + _GONE_S
    while not controller.dead and time.monotonic() < deadline:
        time.sleep(0.02)
    if reap_folders(remove=False):  # a slot was open when it ended
        time.sleep(_GRACE_S)
        kill_runners(controller)
    if said:
        _remove_containers()
    reap_folders()


def _remove_containers() -> None:
    from docker.errors import DockerException

    from evolve.sandbox.engine import Engine

    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            reap_containers(Engine().client)
        except (SandboxUnavailable, DockerException, OSError):
            time.sleep(_RETRY_S)
        else:
            return
