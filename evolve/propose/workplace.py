"""A working copy of a program for a command that edits it, and the container it works in."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from evolve.config.models import ContainerConfig
from evolve.config.program_file import MAX_FILE_BYTES
from evolve.sandbox.reaper import LABEL, Controller

#: Who a container's processes are when this process is root: nobody.
_NOBODY = 65534
#: Where a container finds the working copy.
_INSIDE = "/work"


@contextmanager
def working_copy(files: Mapping[str, str]) -> Iterator[Path]:
    """Write ``files`` into a folder of their own, which is removed at the end."""
    with TemporaryDirectory(prefix="evolve-agent-") as folder:
        root = Path(folder) / "program"
        root.mkdir()
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8", newline="")
        if os.getuid() == 0:
            for each in (Path(folder), root, *root.rglob("*")):
                os.chown(each, _NOBODY, _NOBODY)
        yield root


def changes(root: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``files`` that differ in a working copy, as they are there.

    Nothing is followed that could lead out of it: a file that has become a link, or lies behind
    one, counts as unchanged, as does one that is gone, too large, or not UTF-8.
    """
    found = {path: _read(root, path) for path in files}
    return {path: text for path, text in found.items() if text is not None and text != files[path]}


def contained(
    argv: Sequence[str], root: Path, config: ContainerConfig, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the command line that runs ``argv`` in a container, and the one that ends it.

    Args:
        argv: Program and arguments, as they are called in the image.
        root: The working copy, which the container may write to.
        config: The image and the limits.
        names: Environment variables that are passed on; their values stand on no command line.
    """
    name = f"evolve-agent-{secrets.token_hex(8)}"
    user = _NOBODY if os.getuid() == 0 else os.getuid()
    options = [
        f"--name={name}",
        f"--label={LABEL}={Controller.this()}",
        f"--network={config.network}",
        f"--user={user}:{user}",
        f"--volume={root}:{_INSIDE}",
        f"--workdir={_INSIDE}",
        f"--memory={config.memory_mb}m",
        f"--memory-swap={config.memory_mb}m",
        f"--cpus={config.cpus:g}",
        f"--pids-limit={config.processes}",
        "--read-only",
        "--tmpfs=/tmp:rw,nosuid,nodev,size=512m,mode=1777",
        "--env=HOME=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--entrypoint=",
        *(f"--env={each}" for each in names),
    ]
    start = ["docker", "run", "--rm", "--interactive", *options, config.image, *argv]
    return start, ["docker", "rm", "--force", name]


def _read(root: Path, path: str) -> str | None:
    """Return the text of a regular file that no link leads to, or None."""
    parts = Path(path).parts
    places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    try:
        modes = [place.lstat().st_mode for place in places]
        whole = all(map(stat.S_ISDIR, modes[:-1])) and stat.S_ISREG(modes[-1])
        if not whole or places[-1].stat().st_size > MAX_FILE_BYTES:
            return None
        return places[-1].read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
