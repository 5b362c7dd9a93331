"""The few Linux system calls that Python's `os` does not offer (before 3.12), by ctypes."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_CAPABILITY_HEADER = (ctypes.c_uint32 * 2)(0x20080522, 0)  #: version 3, this process
_NO_CAPABILITY = (ctypes.c_uint32 * 6)()
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_MOUNT_SETATTR = 442  #: since Linux 5.12, the same number everywhere
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_IPC_RMID = 0


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int, pointer: object = None) -> None:
    """Set a property of this process."""
    _check(_LIBC.prctl(option, ctypes.c_ulong(value), pointer, 0, 0), "prctl")


def unshare(flags: int) -> None:
    """Enter new namespaces; a new pid namespace begins with the next fork."""
    _check(_LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount or bind ``source`` at ``target``."""
    encoded = [text.encode() for text in (source, target, kind)]
    _check(_LIBC.mount(*encoded, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def pivot_root(new_root: str) -> None:
    """Make ``new_root``, a mount point, the root of this mount namespace; the old one goes."""
    os.chdir(new_root)
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _check(_LIBC.syscall(number, b".", b"."), "pivot_root")
    _check(_LIBC.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")


def make_read_only(target: str) -> None:
    """Make a mount and all mounts below it read-only, without devices or set-user-id."""
    read_only, nosuid, nodev = 1, 2, 4
    attributes = (ctypes.c_uint64 * 4)(read_only | nosuid | nodev, 0, 0, 0)
    result = _LIBC.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    _check(result, f"mount_setattr {target}")


def drop_capabilities() -> None:
    """Give up every capability for good (with no-new-privileges set)."""
    _check(_LIBC.capset(_CAPABILITY_HEADER, _NO_CAPABILITY), "capset")


def remove_sysv(kind: str, identifier: int) -> None:
    """Remove a System V object: ``shm`` memory, a ``sem`` set, or a ``msg`` queue."""
    if kind == "sem":
        _check(_LIBC.semctl(identifier, 0, _IPC_RMID, 0), "semctl")
    else:
        _check(getattr(_LIBC, f"{kind}ctl")(identifier, _IPC_RMID, None), f"{kind}ctl")
