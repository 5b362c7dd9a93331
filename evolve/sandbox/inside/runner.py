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
from typing import NoReturn

from evolve.sandbox.inside import child, kernel, namespaces, seccomp, template
from evolve.sandbox.inside.confine import confine
from evolve.sandbox.inside.meters import meter
from evolve.sandbox.inside.options import Opening, RunnerOptions
from evolve.sandbox.inside.session import CLOSED, REPLY, Place, Session
from evolve.sandbox.wire import OUTCOMES, FrameReader, Kind, pack

_LONGEST_FRAME = 4 << 30  #: the controller is trusted; this only catches a lost stream
_CHUNK = 1 << 20


class Runner:
    """Serves a controller.

    Args:
        options: How this runner is set up.
        server: Forks programs' processes.
        control: Connected socket to the controller.
        obtained: What isolation there is, for the greeting.
    """

    def __init__(
        self,
        options: RunnerOptions,
        server: template.Template,
        control: socket.socket,
        obtained: list[str],
    ) -> None:
        self._options, self._template, self._control = options, server, control
        self._meter = meter(cgroup=options.cgroup)
        self._reader = FrameReader(_LONGEST_FRAME)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN | select.POLLRDHUP)
        self._session: Session | None = None
        self._sessions = 0
        self._trouble = ""
        greeting = {"python": platform.python_version(), "obtained": obtained}
        self._send(Kind.HELLO, json.dumps(greeting).encode())

    def serve(self) -> None:
        """Serve until the controller closes the socket."""
        while True:
            patience = self._session.patience_ms() if self._session else None
            for descriptor, _ in self._poll.poll(patience):
                if descriptor == self._control.fileno():
                    data = self._control.recv(_CHUNK)
                    if not data:
                        self.close_session()
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
        if kind is Kind.OPEN:
            self._open(Opening.from_bytes(body))
        elif kind is Kind.CALL and self._session:
            self._session.call(body)
        elif kind is Kind.CALL:
            number = OUTCOMES.index("infrastructure")
            self._send(Kind.REPLY, REPLY.pack(number, 0, 0, 0) + self._trouble.encode())
        elif kind is Kind.CLOSE:
            self._send(Kind.CLOSED, self.close_session())

    def _open(self, opening: Opening) -> None:
        self._template.preimport(opening.preimport)
        self._sessions += 1
        first, count = self._options.uids
        place = Place(
            folder=f"{self._options.work}/{self._sessions}",
            shared=self._options.shared,
            uid=first + self._sessions % count if count else 0,
            cgroup=self._options.cgroup,
        )
        try:
            self._session = Session(
                template=self._template,
                place=place,
                limits=opening.limits,
                meter=self._meter,
                poll=self._poll,
                reply=lambda body: self._send(Kind.REPLY, body),
            )
        except OSError as error:
            self._trouble = f"no process for the program: {error}"
        else:
            self._session.load(opening.program.encode())

    def close_session(self) -> bytes:
        """End the session, if there is one, and return its report."""
        session, self._session = self._session, None
        return session.close() if session else CLOSED.pack(False, 0, 0, 0, 0)

    def _send(self, kind: Kind, body: bytes) -> None:
        self._control.sendall(pack(kind, body))


def main() -> NoReturn:
    """Run a supervisor with the options given as the only argument, JSON."""
    options = RunnerOptions.from_json(sys.argv[1])
    control = socket.socket(socket.AF_UNIX)
    control.connect(options.socket)
    obtained = []
    if options.readable:
        options, separate = namespaces.enter(options)
        obtained += ["namespaces"] if separate else []
    obtained += ["users"] if options.uids[1] else []
    obtained += ["filter"] if seccomp.available() else []
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    started = template.start()
    if not isinstance(started, template.Template):  # this is a child of the template
        confine(*started)
        child.serve()
        os._exit(0)
    _protect(options)
    runner = Runner(options, started, control, obtained)
    try:
        runner.serve()
    finally:
        runner.close_session()
        os._exit(0)


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
