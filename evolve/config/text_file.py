"""Read text files that people wrote, with errors a person can act on."""

from __future__ import annotations

import stat
from pathlib import Path

from evolve.config.nearest import did_you_mean
from evolve.core.errors import ConfigError


def read_text(path: Path, max_bytes: int) -> str:
    """Return a regular file's UTF-8 text, line ends and byte order mark normalised away.

    Raises:
        ConfigError: there is no such file, or it is not regular, too large or not UTF-8.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ConfigError(f"this is {what}; a file is needed", path=str(path))
        if status.st_size > max_bytes:
            message = f"the file has {status.st_size} bytes; at most {max_bytes} are read"
            raise ConfigError(message, path=str(path))
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"no such file{_neighbour(path)}", path=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=str(path)) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        raise ConfigError(
            "not UTF-8 text; save the file as UTF-8",
            path=str(path),
            line=len(before),
            column=len(before[-1]) + 1,
        ) from None
    return text.replace("\r\n", "\n")


def _neighbour(path: Path) -> str:
    """Suggest the file of the same folder that was probably meant."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    hint = did_you_mean(path.name, names)
    return hint if "did you mean" in hint else ""
