"""Turn a fresh fork of the template into a program's own, unprivileged process."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from evolve.sandbox.inside import kernel, seccomp

CALLS, RESULTS = 3, 4  #: the program's descriptors besides stdin, stdout and stderr
_OPEN_FILES = 256
#: Limits of what gVisor does not have; the filter refuses the calls that would use it.
_NOT_IN_GVISOR = (resource.RLIMIT_MSGQUEUE, resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO)
#: Variables of the runner's that programs need; besides those that limit threads.
#: Of the sandbox's own environment; PYTHONPATH is where an image has packages.
_KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
)
_SPARE = 64  #: descriptors from here on are free while the five are put in place


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a child must become.

    Attributes:
        folder: Its working folder, empty and its own.
        uid: User and group id to take; 0 to keep the runner's.
        cpu_s: CPU seconds of one process, a backstop to the supervisor's own clock.
        disk_bytes: Largest file.
        data_bytes: Growth of one process's private memory; 0 where a cgroup limits it.
        processes: Processes and threads of this user; 0 where a cgroup limits them.
    """

    folder: str
    uid: int
    cpu_s: int
    disk_bytes: int
    data_bytes: int
    processes: int


def confine(what: Confinement, descriptors: Sequence[int]) -> None:
    """Give up everything but ``descriptors``: calls, results, stdout and stderr.

    The order matters: limits and ids while there is still the right to set them, the filter last.
    """
    os.setsid()
    _keep_only(descriptors)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # before: its own /proc is the program's again
    _write("/proc/self/oom_score_adj", b"1000")
    _limit(what)
    if what.uid:
        os.setgroups([])
        os.setresgid(what.uid, what.uid, what.uid)
        os.setresuid(what.uid, what.uid, what.uid)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # which a change of user has undone
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    if seccomp.available():
        seccomp.install(counted=not what.data_bytes)
    os.chdir(what.folder)
    _fresh_interpreter(what.folder)


def _write(path: str, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text)
    os.close(descriptor)


def _keep_only(descriptors: Sequence[int]) -> None:
    calls, results, stdout, stderr = descriptors
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, stdout, stderr, calls, results)):
        os.dup2(descriptor, _SPARE + number)
    for number in range(5):
        os.dup2(_SPARE + number, number)
    os.closerange(5, os.sysconf("SC_OPEN_MAX"))


def _limit(what: Confinement) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: what.disk_bytes,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    if what.data_bytes:
        limits[resource.RLIMIT_DATA] = what.data_bytes + _data_size()
    if what.processes:
        limits[resource.RLIMIT_NPROC] = what.processes
    for kind, limit in limits.items():
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            limit = min(limit, ceiling)  # noqa: PLW2901 - an ordinary user cannot raise a limit
        try:
            resource.setrlimit(kind, (limit, limit))
        except ValueError:
            if kind not in _NOT_IN_GVISOR:
                raise
    resource.setrlimit(resource.RLIMIT_CPU, (what.cpu_s, what.cpu_s + 1))


def _data_size() -> int:
    """Return the private memory this process was born with, in bytes."""
    with open("/proc/self/status", "rb", buffering=0) as file:  # noqa: PTH123 - as quick as can be
        status = file.read()
    start = status.index(b"\nVmData:") + len(b"\nVmData:")
    return int(status[start : status.index(b"kB", start)]) * 1024


def _fresh_interpreter(folder: str) -> None:
    """Make the interpreter look as if it had just been started in ``folder``."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    os.environ.clear()
    os.environ.update(kept | threads, HOME=folder, TMPDIR=folder, LANG="C.UTF-8")
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = open(number, mode, 1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 - for good
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [""]
    sys.path.insert(0, folder)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed(0)
    with suppress(KeyError):
        sys.modules["tempfile"].__dict__["tempdir"] = None
