"""Programs on disk: a file or a folder to a `Program`, and a look for its entrypoint."""

from __future__ import annotations

from pathlib import Path

from evolve.config.nearest import did_you_mean
from evolve.config.python_file import top_level_names
from evolve.config.text_file import read_text
from evolve.core.errors import ConfigError
from evolve.core.program import Program

MAX_FILE_BYTES = 1024 * 1024
MAX_FILES = 200


def read_program(path: Path) -> Program:
    """Read a program.

    Args:
        path: A file, or a folder all of whose files belong to the program; hidden files and
            ``__pycache__`` do not count. At most 200 files of 1 MiB, UTF-8 text, no symbolic links
            inside the folder.

    Raises:
        ConfigError: it is not there, is empty, or is not such a file or folder.
    """
    if path.is_dir():
        files = {
            file.relative_to(path).as_posix(): read_text(file, MAX_FILE_BYTES)
            for file in _files(path)
        }
    else:
        files = {path.name: read_text(path, MAX_FILE_BYTES)}
    try:
        return Program(files)
    except ValueError as error:
        raise ConfigError(str(error), path=str(path)) from None


def check_entrypoint(program: Program, entrypoint: str, path: Path) -> None:
    """Check that the function to call exists, as far as reading the source can tell.

    Args:
        program: Where it must be.
        entrypoint: ``function`` of the only file, or ``FILE.py:function``.
        path: What messages call the program.

    Raises:
        ConfigError: there is no such file or function, or the file is not Python.
    """
    file, _, function = entrypoint.rpartition(":")
    if not file and len(program.files) > 1:
        raise ConfigError(
            f"the program has several files; write the entrypoint as FILE.py:{function}",
            path=str(path),
        )
    file = file or next(iter(program.files))
    if file not in program.files:
        hint = did_you_mean(file, program.files)
        raise ConfigError(f"the program has no file {file}{hint}", path=str(path))
    if not file.endswith(".py"):
        return
    names = top_level_names(program.files[file], str(path / file if path.is_dir() else path))
    if function not in names and "*" not in names:
        hint = did_you_mean(function, names)
        raise ConfigError(f"no function '{function}' in the program{hint}", path=str(path))


def _files(folder: Path) -> list[Path]:
    """Return the files of a program's folder, in order."""
    found: list[Path] = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if path.is_symlink():
            raise ConfigError("a program holds no symbolic links; copy the file", path=str(path))
        if path.is_dir():
            continue
        found.append(path)
        if len(found) > MAX_FILES:
            raise ConfigError(f"a program has at most {MAX_FILES} files", path=str(folder))
    return found
