"""The fork server: imports libraries once, forks a child per program, and reports its end.

It talks to the supervisor over a socket that keeps message boundaries, and it is the only process
that is ever forked from: no job's data reaches it, so a child finds nothing of another in memory.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import asdict
from typing import NoReturn

from evolve.sandbox.inside import kernel, seccomp
from evolve.sandbox.inside.confine import Confinement

#: Only these are imported ahead of a program that asks for them: they do nothing but define things.
PREIMPORTABLE = re.compile(r"(numpy|scipy)(\.[a-z_]+)?")
_MESSAGE_BYTES = 1 << 16
#: Process id, wait status, CPU nanoseconds of it and the children it waited for, peak resident kB.
_STATUS = struct.Struct("=iiQQ")


class Fork:
    """One child of the template, as the supervisor sees it.

    Attributes:
        pid: Process id.
        status: Wait status once it has ended, else None.
        cpu_ns: Its CPU time and that of children it waited for, once it has ended.
        peak_bytes: Its largest resident size, once it has ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.cpu_ns = self.peak_bytes = 0


class Template:
    """The supervisor's handle on its template process."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid, self._channel = pid, channel

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a child ends."""
        return self._channel.fileno()

    def preimport(self, modules: list[str]) -> None:
        """Have library modules imported, once for all programs to come."""
        wanted = [name for name in modules if PREIMPORTABLE.fullmatch(name)]
        self._channel.send(json.dumps({"preimport": wanted}).encode())
        self._receive()

    def fork(self, what: Confinement, descriptors: tuple[int, int, int, int]) -> Fork:
        """Start a child.

        Raises:
            OSError: the kernel would not fork.
        """
        socket.send_fds(self._channel, [json.dumps(asdict(what)).encode()], list(descriptors))
        pid = _STATUS.unpack(self._receive())[0]
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return Fork(pid)

    def collect(self, fork: Fork) -> None:
        """Wait for the end of ``fork`` and note how it ended."""
        _, fork.status, fork.cpu_ns, peak_kb = _STATUS.unpack(self._receive())
        fork.peak_bytes = peak_kb * 1024

    def _receive(self) -> bytes:
        message = self._channel.recv(_MESSAGE_BYTES)
        if not message:
            raise EOFError("the template is gone")
        return message


def start() -> Template | tuple[Confinement, list[int]]:
    """Fork the template.

    Returns:
        In the supervisor, the handle; in a child of the template, and there each time it forks
        one, what the child must become and its descriptors.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return Template(pid, ours)
    ours.close()
    # Not to be written to through /proc, even by a program that has the same user id.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the line above
        os._exit(0)
    return _serve(theirs)


def _serve(channel: socket.socket) -> tuple[Confinement, list[int]]:
    """Answer the supervisor for ever; return only in a child."""
    seccomp.prepare()
    _import(["random"])  # `confine` seeds it
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES, 4)
        if not message:
            _leave()
        request = json.loads(message)
        if "preimport" in request:
            wanted = request["preimport"]
            _import(["numpy.random", *wanted] if wanted else [])  # likewise, and it is loaded late
            channel.send(b"\0")
            continue
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            channel.close()
            return Confinement(**request), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(_STATUS.pack(pid, 0, 0, 0))
        if pid > 0:
            _, status, used = os.wait4(pid, 0)
            cpu_ns = int((used.ru_utime + used.ru_stime) * 1e9)
            channel.send(_STATUS.pack(pid, status, cpu_ns, used.ru_maxrss))
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # a program can make its children ours
                    pass


def _import(modules: list[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # the program will meet the same error and report it
    gc.collect()
    gc.freeze()


def _leave() -> NoReturn:
    os._exit(0)
