"""The supervisor: the resident process of a slot, and the only one inside that is trusted.

It runs as PID 1 of a container (or of nothing, in a process sandbox) with standard library modules
alone, serves one session at a time, and ends with everything below it when the controller's end of
the socket closes, however that came about.
"""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import socket
import sys
from dataclasses import replace
from functools import partial
from typing import NoReturn

from evolve.sandbox.inside import child, kernel, namespaces, processes, seccomp, template
from evolve.sandbox.inside.confine import confine
from evolve.sandbox.inside.execution import CHUNK, Execution, Place
from evolve.sandbox.inside.gpus import visible_gpus
from evolve.sandbox.inside.meters import has_cgroup, meter
from evolve.sandbox.inside.options import Opening, RunnerOptions
from evolve.sandbox.inside.session import CLOSED, REPLY, Session
from evolve.sandbox.wire import HEADER, OUTCOMES, FrameReader, Kind

_LONGEST_FRAME = 4 << 30  #: the controller is trusted; this only catches a lost stream
_LARGE = 1 << 20


class Runner:
    """Serves a controller.

    Args:
        options: How this runner is set up.
        server: Forks programs' processes.
        control: Connected socket to the controller.
        greeting: What to say first, see `evolve.sandbox.session.Greeting`.
    """

    def __init__(
        self,
        options: RunnerOptions,
        server: template.Template,
        control: socket.socket,
        greeting: dict[str, object],
    ) -> None:
        self._options, self._template, self._control = options, server, control
        self._meter = meter(cgroup=options.cgroup)
        self._reader = FrameReader(_LONGEST_FRAME)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN | select.POLLRDHUP)
        self._session: Session | None = None
        self._sessions = 0
        self._trouble = ""
        self._others = 0 if options.uids[1] else processes.user_threads(os.getuid())
        self._send(Kind.HELLO, json.dumps(greeting).encode())

    def serve(self) -> None:
        """Serve until the controller closes the socket."""
        while True:
            patience = self._session.patience_ms() if self._session else None
            for descriptor, _ in self._poll.poll(patience):
                if descriptor == self._control.fileno():
                    data = self._control.recv(CHUNK)
                    if not data:
                        self._close()
                        return
                    for kind, body in self._reader.feed(data):
                        self._obey(kind, body)
                    break  # descriptors may have changed
                if self._session:
                    self._session.handle(descriptor)
                    break  # likewise
            if self._session:
                self._session.check()

    def _obey(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.PREPARE:
            self._template.preimport(json.loads(body))
            self._send(Kind.PREPARED)
        elif kind is Kind.OPEN:
            self._open(Opening.from_bytes(body))
        elif kind is Kind.CALL and self._session:
            self._session.call(body)
        elif kind is Kind.CALL:
            number = OUTCOMES.index("infrastructure")
            self._send(Kind.REPLY, REPLY.pack(number, 0, 0, 0) + self._trouble.encode())
        elif kind is Kind.CLOSE:
            self._send(Kind.CLOSED, self._close())

    def _open(self, opening: Opening) -> None:
        self._sessions += 1
        first, count = self._options.uids
        place = Place(
            folder=f"{self._options.work}/{self._sessions}",
            shared=self._options.shared,
            uid=first + self._sessions % count if count else 0,
            cgroup=self._options.cgroup,
            gpus=self._options.gpus,
            others=self._others,
        )
        try:
            execution = Execution(self._template, place, opening.limits)
        except OSError as error:
            self._trouble = f"no process for the program: {error}"
            return
        reply = partial(self._send, Kind.REPLY)
        self._session = Session(execution, opening.limits, self._meter, self._poll, reply)
        self._session.load(opening.program.encode())

    def _close(self) -> bytes:
        """End the session, if there is one, and return its report."""
        report = self._session.close() if self._session else CLOSED.pack(False, 0, 0, 0, 0)
        self._session = None
        return report

    def abandon(self) -> None:
        """Kill the program that runs, if one does: the last thing a supervisor does."""
        if self._session:
            self._session.abandon()

    def _send(self, kind: Kind, *parts: bytes) -> None:
        length = sum(map(len, parts))
        header = HEADER.pack(kind, length)
        if length < _LARGE:
            self._control.sendall(b"".join([header, *parts]))
        else:  # without another copy in memory
            for part in (header, *parts):
                self._control.sendall(part)


def main() -> NoReturn:
    """Run a supervisor with the options given as the only argument, JSON."""
    options = RunnerOptions.from_json(sys.argv[1])
    if options.cpus:
        os.sched_setaffinity(0, options.cpus)
    control = socket.socket(socket.AF_UNIX)
    control.connect(options.socket)
    obtained = []
    if options.readable:
        options, separate = namespaces.enter(options)
        obtained += ["namespaces"] if separate else []
    if not (options.uids[1] or processes.can_descend()):
        sys.exit("this kernel does not list the children of a process (CONFIG_PROC_CHILDREN)")
    options = _as_found(options)
    obtained += ["cgroup"] if options.cgroup else []
    obtained += ["users"] if options.uids[1] else []
    obtained += ["filter"] if seccomp.available() else []
    gpus, trouble = visible_gpus() if options.gpus else ([], "")
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    started = template.start()
    if not isinstance(started, template.Template):  # this is a child of the template
        confine(*started)
        child.serve()
        os._exit(0)
    _protect(options)
    greeting: dict[str, object] = {
        "python": platform.python_version(),
        "obtained": obtained,
        "gpus": gpus,
        "trouble": trouble,
    }
    runner = Runner(options, started, control, greeting)
    try:
        runner.serve()
    except (OSError, EOFError) as error:  # the controller or the template is gone
        sys.stderr.write(f"the runner ends: {error}\n")
    finally:
        runner.abandon()
        os._exit(0)


def _as_found(options: RunnerOptions) -> RunnerOptions:
    """Keep to what there is: runtimes differ in the folders and counters they offer."""
    shared = [path for path in options.shared if os.path.isdir(path) and os.access(path, os.W_OK)]  # noqa: PTH112 - plain strings all through
    return replace(options, shared=tuple(shared), cgroup=options.cgroup and has_cgroup())


def _protect(options: RunnerOptions) -> None:
    """Put the supervisor out of its programs' reach, and let it be told to end."""
    # PID 1 has no default action for SIGTERM: without this a container takes ten seconds to stop.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.uids[1]:
        nobody = options.uids[0] - 1
        os.setresuid(nobody, 0, 0)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


if __name__ == "__main__":
    main()
