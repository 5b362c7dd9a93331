"""A program in another language: built once, then run for every call; JSON in, JSON out.

This is the program's own process, like `child`, whose place it takes: it has the program's user,
folder and limits, and so has all that it starts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from evolve.sandbox import wire
from evolve.sandbox.wire import WireError

_BUILD_BYTES = 1 << 16
_SHOWN = 3000  #: characters of a compiler's output, from its start: later errors follow from it
_QUOTED = 200


class CommandFailed(Exception):
    """A command did not do what it should.

    Args:
        outcome: One of `evolve.sandbox.wire.OUTCOMES`.
        message: What happened.
    """

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class CommandProgram:
    """A program whose files have been written and built.

    Args:
        command: ``build`` and ``run``, each a program and its arguments.
        result_bytes: How much it may print as its result.

    Raises:
        CommandFailed: it does not build.
    """

    def __init__(self, command: dict[str, list[str]], result_bytes: int) -> None:
        self._run, self._most = command["run"], result_bytes
        if command["build"]:
            _build(command["build"])

    def call(self, _function: str, inputs: bytes) -> bytes:
        """Return the encoded result of one run."""
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(wire.loads(inputs)).encode())
            stdin.seek(0)
            text = _execute(self._run, stdin, self._most)
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            shown = text[:_QUOTED].decode("utf-8", "replace")
            raise WireError(f"standard output is not one JSON value: {error}: {shown}") from None
        return wire.dumps(value)


def _build(command: list[str]) -> None:
    with _start(command, stdin=None, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        output = process.stdout.read(_BUILD_BYTES)
        while process.stdout.read(_BUILD_BYTES):
            pass  # a compiler that waits for a reader would never end
    if process.returncode:
        said = output.decode("utf-8", "replace").replace(f"{Path.cwd()}/", "").strip()
        raise CommandFailed("exception", f"the build {_ending(process)}:\n{said[:_SHOWN]}")


def _execute(command: list[str], stdin: IO[bytes], most: int) -> bytes:
    """Return what a command prints.

    Raises:
        CommandFailed: it prints more than ``most`` bytes, or does not end with status 0.
    """
    with _start(command, stdin=stdin, stderr=None) as process:
        assert process.stdout is not None
        text = process.stdout.read(most + 1)
        if len(text) > most:
            process.kill()
            raise CommandFailed("output_too_large", f"printed more than {most >> 20} MiB")
    if process.returncode:
        outcome = "signal" if process.returncode < 0 else "exit"
        raise CommandFailed(outcome, f"{command[0]} {_ending(process)}")
    return text


def _start(
    command: list[str], stdin: IO[bytes] | None, stderr: int | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the problem's own command
            command,
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise CommandFailed(
            "exception", f"{command[0]} cannot be run here: {os.strerror(error.errno or 0)}"
        ) from None


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with status {code}"
