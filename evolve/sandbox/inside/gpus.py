"""Which GPUs a program would see here, asked of the CUDA driver itself."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
from uuid import UUID

_LONGEST_S = 20.0  #: a driver that wakes up many devices takes seconds
_ANSWER_BYTES = 1 << 16


def visible_gpus() -> tuple[list[str], str]:
    """Return the identifiers of all devices that CUDA offers, or why it offers none.

    The driver is loaded in a process that ends at once: what has been forked from a process that
    uses CUDA cannot use it.
    """
    answer, question = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(question, json.dumps(_ask()).encode())
        os._exit(0)
    os.close(question)
    try:
        in_time, _, _ = select.select([answer], [], [], _LONGEST_S)
        said = os.read(answer, _ANSWER_BYTES) if in_time else b""
    finally:
        os.close(answer)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not said:
        return [], "the CUDA driver did not answer" if not in_time else "the CUDA driver crashed"
    found, trouble = json.loads(said)
    return found, trouble


def _ask() -> tuple[list[str], str]:
    """Ask the driver in this very process."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return [], str(error)
    count = ctypes.c_int()
    for name, arguments in (("cuInit", (0,)), ("cuDeviceGetCount", (ctypes.byref(count),))):
        if status := getattr(cuda, name)(*arguments):
            return [], f"{name} failed with status {status}"
    # The second version tells the instances of a partitioned GPU apart.
    identify = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
    found: list[str] = []
    for number in range(count.value):
        buffer = (ctypes.c_ubyte * 16)()
        if status := identify(ctypes.byref(buffer), number):
            return found, f"cuDeviceGetUuid failed with status {status}"
        found.append(str(UUID(bytes=bytes(buffer))))
    return found, ""
