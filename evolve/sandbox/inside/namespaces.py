"""Where no container engine is at hand: a container made by hand, as far as the kernel lets us.

New mount, process, network, System V and host name namespaces, and a root file system that holds
a read-only Python, a few devices, and two small file systems in memory to write to. Root may do
this anywhere; an ordinary user may where user namespaces are allowed. It works wholly or not at
all, and the runner's greeting says which.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path

from evolve.sandbox.inside import kernel
from evolve.sandbox.inside.options import RunnerOptions

_FAILED = 97  #: exit status of a helper that could not make the namespaces
_NAMESPACES = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
)
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_WORK, _SHM = "/run/program", "/dev/shm"  # noqa: S108 - the sandbox's own
_INODES = 8192


def enter(options: RunnerOptions) -> tuple[RunnerOptions, bool]:
    """Continue in namespaces of our own, or where we are when they cannot be had.

    The caller's process stays behind and ends when the one in the namespaces does, or the other
    way round.

    Returns:
        The options as they are from here on, and whether there are namespaces.
    """
    helper = os.fork()
    if helper:
        _, status = os.waitpid(helper, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != _FAILED:
            os._exit(abs(code))
        return _without(options), False
    _die_with_parent()
    try:
        owns_users = _unshare()
        init = os.fork()
        if init:
            _, status = os.waitpid(init, 0)
            os._exit(abs(os.waitstatus_to_exitcode(status)))
        _die_with_parent()
        _build_root(options)
    except OSError as error:
        sys.stderr.write(f"no namespaces: {error}\n")
        os._exit(_FAILED)
    uids = options.uids if owns_users else (0, 0)
    return replace(options, work=_WORK, shared=(_SHM,), uids=uids), True


def _without(options: RunnerOptions) -> RunnerOptions:
    """Keep to the runner's own user where another could not even read Python."""
    return options if all(map(_open_to_all, options.readable)) else replace(options, uids=(0, 0))


def _open_to_all(path: str) -> bool:
    folders = [Path(path), *Path(path).parents]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def _die_with_parent() -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _unshare() -> bool:
    """Enter new namespaces; return whether all user ids can still be taken."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        try:
            kernel.unshare(_NAMESPACES)
        except PermissionError:
            pass
        else:
            return True
    kernel.unshare(_NAMESPACES | kernel.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text)
    return False


def _build_root(options: RunnerOptions) -> None:
    """Make the file system that programs see, and make it the root."""
    socket.sethostname("sandbox")
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    root = Path(options.work)
    plain = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", str(root), "tmpfs", plain, "mode=755,size=1m")
    bound: list[Path] = []
    for name in (*_SYSTEM, *options.readable):
        path = Path(name)
        if path.exists() and not any(path.is_relative_to(other) for other in bound):
            _bring(path, root)
            bound.append(path)
    for path in (*(Path("/dev", name) for name in _DEVICES), *map(Path, options.devices)):
        _bind(path, root / path.relative_to("/"))
    size = f"size={options.disk_mb}m,nr_inodes={_INODES}"
    for name, mode in ((_WORK, "711"), (_SHM, "1777")):
        target = root / name.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        kernel.mount("tmpfs", str(target), "tmpfs", plain, f"mode={mode},{size}")
    (root / "proc").mkdir()
    kernel.mount("proc", str(root / "proc"), "proc", plain | kernel.MS_NOEXEC)
    kernel.pivot_root(str(root))
    kernel.mount("none", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | plain)


def _bring(path: Path, root: Path) -> None:
    """Show ``path`` of the outside, read-only; repeat links as links."""
    target = root / path.relative_to("/")
    if path.is_symlink() and path.parent == Path("/"):
        target.symlink_to(path.readlink())
        return
    _bind(path, target)
    kernel.make_read_only(str(target))


def _bind(path: Path, target: Path) -> None:
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(str(path), str(target), "", kernel.MS_BIND | kernel.MS_REC)
