"""The program's own process: load it, answer calls, say what went wrong.

Everything from here on is the program's territory. It can rewrite this code while it runs, and all
it gains is to write other bytes to its own result pipe: those are, by definition, its output.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, cast

from evolve.sandbox import wire
from evolve.sandbox.inside.command import CommandFailed, CommandProgram
from evolve.sandbox.inside.confine import CALLS, RESULTS
from evolve.sandbox.wire import FrameReader, Kind, WireError

MESSAGE_BYTES = 4096
_HARNESS = "harness.py"
_CHUNK = 1 << 16


def serve() -> None:
    """Load the program that arrives on the calls descriptor and answer until it is closed."""
    calls = FrameReader(sys.maxsize)
    body = _receive(calls)
    try:
        loaded = _load(json.loads(body))
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its outcome
        _fail(error, calls)
    _send(Kind.LOADED)
    while True:
        function, inputs = wire.unpack_call(_receive(calls))
        try:
            value = loaded.call(function, inputs)
        except BaseException as error:  # noqa: BLE001 - as above
            _fail(error, calls)
        _flush()
        _send(Kind.VALUE, value)


def _load(program: dict[str, Any]) -> _Loaded | CommandProgram:
    """Write a program's files and import or build it."""
    for name, text in program["files"].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    if program["command"]:
        return CommandProgram(program["command"], program["result_bytes"])
    return _Loaded(program)


class _Loaded:
    """An imported program and its harness."""

    def __init__(self, program: dict[str, Any]) -> None:
        self._entry: str = program["entry"]
        self._function: str = program["function"]
        self._module = _import_file(self._entry)
        self._harness = _import_text(program["harness"]) if program["harness"] else None

    def call(self, function: str, inputs: bytes) -> bytes:
        """Return the encoded result of one call."""
        target = self._find(function or self._function)
        arguments = wire.loads(inputs)
        assert isinstance(arguments, dict)
        if self._harness is None:
            result = target(**arguments)
        else:
            result = self._harness.run(target, **arguments)
        return wire.dumps(result)

    def _find(self, name: str) -> Callable[..., Any]:
        target = getattr(self._module, name, None)
        if not callable(target):
            raise NameError(f"{self._entry} defines no function {name!r}")  # noqa: TRY004 - or a wrong type
        return cast("Callable[..., Any]", target)


def _import_file(path: str) -> ModuleType:
    name = Path(path).stem
    if name in sys.modules or not name.isidentifier():
        name = "program"
    spec = importlib.util.spec_from_file_location(name, Path(path).absolute())
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_text(text: str) -> ModuleType:
    module = ModuleType("harness")
    linecache.cache[_HARNESS] = (len(text), None, text.splitlines(keepends=True), _HARNESS)
    exec(compile(text, _HARNESS, "exec"), module.__dict__)  # noqa: S102 - this is what it is for
    return module


def _fail(error: BaseException, calls: FrameReader) -> NoReturn:
    """Send an outcome and its explanation, and stay as it is to be looked at and killed."""
    _flush()
    if isinstance(error, SystemExit):
        code = error.code
        os._exit(code if isinstance(code, int) else 1 if code else 0)
    message = _describe(error).encode("utf-8", "replace")[:MESSAGE_BYTES]
    _send(Kind.FAILED, bytes([wire.OUTCOMES.index(_outcome(error))]) + message)
    while True:
        _receive(calls)


def _outcome(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, CommandFailed):
        return error.outcome
    if isinstance(error, WireError):
        return "bad_output"
    no_process = isinstance(error, OSError) and error.errno == errno.EAGAIN
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return "process_limit" if no_process or no_thread else "exception"


def _describe(error: BaseException) -> str:
    """Return the traceback through the program's own files, or the message alone."""
    if isinstance(error, WireError | CommandFailed):
        return str(error)
    folder = str(Path.cwd()) + os.sep
    frames = traceback.StackSummary.from_list(
        frame
        for frame in traceback.extract_tb(_own(error.__traceback__, folder))
        if _is_own(frame.filename, folder)
    )
    lines = ["Traceback (most recent call last):\n", *frames.format()] if frames else []
    lines += traceback.format_exception_only(error)
    text = "".join(lines).replace(folder, "").strip()
    if len(text) > MESSAGE_BYTES // 2:
        text = text[: MESSAGE_BYTES // 4] + "\n[...]\n" + text[-MESSAGE_BYTES // 4 :]
    return text


def _is_own(filename: str, folder: str) -> bool:
    return filename.startswith(folder) or filename == _HARNESS


def _own(trace: TracebackType | None, folder: str) -> TracebackType | None:
    """Skip the frames of this module above the program's first."""
    while trace is not None and not _is_own(trace.tb_frame.f_code.co_filename, folder):
        trace = trace.tb_next
    return trace


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed or replaced by the program: its own loss


def _receive(calls: FrameReader) -> bytes:
    """Return the body of the next frame; end when nobody will send one any more."""
    while True:
        data = os.read(CALLS, _CHUNK)
        if not data:
            os._exit(0)
        for _, body in calls.feed(data):
            return body


def _send(kind: Kind, body: bytes = b"") -> None:
    rest = memoryview(wire.pack(kind, body))
    while rest:
        rest = rest[os.write(RESULTS, rest) :]
