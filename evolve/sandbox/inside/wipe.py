"""Remove everything a program may have left behind, without following anything it planted."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from evolve.sandbox.inside import kernel

_LONGEST = 2000  #: bytes of path from which a folder is moved up before it is entered


def wipe(folder: str) -> bool:
    """Empty ``folder``; return whether nothing is left in it.

    Runs with the program's own ids: it may repair the modes of what the program owns, and cannot
    touch anything else. Links are removed, never followed. Neither the depth of a tree nor the
    length of its paths matters.
    """
    if os.path.realpath(folder) != folder:  # it was replaced by a link, or what it lies in was
        return False
    clean = True
    moved = 0
    todo = [folder]
    emptied = []
    while todo:
        path = todo.pop()
        if len(path) > _LONGEST:
            moved += 1
            short = f"{folder}/.deep{moved}"
            try:
                os.rename(path, short)  # noqa: PTH104 - plain strings: these paths are not for Path
            except OSError:
                clean = False
                continue
            path = short
        emptied.append(path)
        below, emptied_here = _empty(path)
        clean = clean and emptied_here
        todo += below
    for path in reversed(emptied[1:]):
        try:
            os.rmdir(path)  # noqa: PTH106 - likewise
        except OSError:
            clean = False
    return clean


def _empty(path: str) -> tuple[list[str], bool]:
    """Unlink what is directly in ``path``; return its subfolders and whether all went well."""
    below: list[str] = []
    clean = True
    with suppress(OSError):
        if stat.S_IMODE(os.lstat(path).st_mode) & 0o700 != 0o700:
            os.chmod(path, 0o700)  # noqa: PTH101 - likewise; path is a folder, never a link
    try:
        with os.scandir(path) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    continue
                try:
                    os.unlink(entry.path)  # noqa: PTH108 - likewise
                except OSError:
                    clean = False
    except OSError:
        clean = False
    return below, clean


def wipe_sysv() -> bool:
    """Remove the System V objects of this user; return whether none is left.

    The system call filter lets none be made; this is for machines without a filter.
    """
    clean = True
    for kind in ("shm", "sem", "msg"):
        try:
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            try:
                kernel.remove_sysv(kind, int(line.split()[1]))
            except OSError:
                clean = False
    return clean
