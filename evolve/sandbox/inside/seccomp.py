"""A system call filter for programs, on top of whatever the container engine installs.

It refuses what a program of ours never needs and what has been the way into kernels or into other
processes: tracing, namespaces, mounts, modules, keyrings, io_uring, bpf, shared System V objects
that outlive a process, every socket family but AF_UNIX, and the x32 system calls. A program also
keeps the CPUs and the priority it was given. The numbers are those of x86-64; on other machines
there is no filter, and the runner's greeting says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from functools import cache

from evolve.sandbox.inside import kernel

_X86_64_AUDIT = 0xC000003E
_X32_BIT = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_SOCKET, _SOCKETPAIR, _CLONE, _CLONE3 = 41, 53, 56, 435
_NEW_NAMESPACES = 0x7E020000
_CLONE_PARENT = 0x8000  #: makes the child one of the fork server, which would not wait for it
_AF_UNIX = 1
_FILTER_MODE = 2

_REFUSED = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_getfd": 438, "personality": 135, "setpriority": 141, "sched_setaffinity": 203,
    "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66,
    "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240,
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "fsopen": 430, "open_tree": 428, "move_mount": 429, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304,
    "add_key": 248, "request_key": 249, "keyctl": 250,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "fanotify_init": 300,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "process_madvise": 440,
    "init_module": 175, "finit_module": 313, "delete_module": 176,
    "kexec_load": 246, "kexec_file_load": 320, "reboot": 169, "syslog": 103, "acct": 163,
    "swapon": 167, "swapoff": 168, "quotactl": 179, "quotactl_fd": 443, "iopl": 172, "ioperm": 173,
    "modify_ldt": 154, "uselib": 134, "lookup_dcookie": 212, "nfsservctl": 180, "vhangup": 153,
    "settimeofday": 164, "clock_settime": 227, "sethostname": 170, "setdomainname": 171,
}  # fmt: skip
#: Memory in files without a name; refused where no cgroup counts it.
_UNCOUNTED = {"memfd_create": 319, "memfd_secret": 447}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))
    buffer: ctypes.Array[ctypes.c_char]  #: what ``instructions`` points to


def available() -> bool:
    """Return whether the filter knows this machine's system calls."""
    return os.uname().machine == "x86_64"


@cache
def _program(*, counted: bool) -> _Program:
    """Return the filter as the kernel wants it; the buffer lives as long as the result."""
    refused = _REFUSED if counted else _REFUSED | _UNCOUNTED
    count, buffer = _instructions(refused.values())
    program = _Program(count, ctypes.cast(buffer, ctypes.c_void_p))
    program.buffer = buffer
    return program


def prepare() -> None:
    """Assemble the filter now, so that every process forked from this one finds it done."""
    for counted in (False, True):
        _program(counted=counted)


def _instructions(numbers: Iterable[int]) -> tuple[int, ctypes.Array[ctypes.c_char]]:
    """Assemble the filter; each tuple is operation, jump if true, jump if false, operand."""
    no_such_call = (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)
    refused = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    no_such_family = (_RETURN, 0, 0, _REFUSE | errno.EAFNOSUPPORT)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _X86_64_AUDIT), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT), no_such_call,
        # clone3's flags lie behind a pointer no filter can follow; libc falls back to clone.
        (_EQUAL, 0, 1, _CLONE3), no_such_call,
    ]  # fmt: skip
    for number in numbers:
        lines += [(_EQUAL, 0, 1, number), refused]
    first_argument = (_LOAD, 0, 0, _FIRST_ARGUMENT)
    unwanted = _NEW_NAMESPACES | _CLONE_PARENT
    lines += [(_EQUAL, 0, 4, _CLONE), first_argument, (_ANY_BIT, 0, 1, unwanted), refused]
    lines += [(_LOAD, 0, 0, _NUMBER)]
    for call in (_SOCKET, _SOCKETPAIR):
        lines += [(_EQUAL, 0, 4, call), first_argument, (_EQUAL, 1, 0, _AF_UNIX), no_such_family]
        lines += [(_LOAD, 0, 0, _NUMBER)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    return len(lines), ctypes.create_string_buffer(code, len(code))


def install(*, counted: bool = True) -> None:
    """Filter this process and all it starts from now on. Needs no-new-privileges.

    Args:
        counted: Whether a cgroup counts all of its memory.
    """
    program = _program(counted=counted)
    kernel.prctl(kernel.PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program))
