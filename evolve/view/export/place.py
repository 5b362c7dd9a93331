"""Where an export goes: written aside, put in its place in one step, never over other people's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evolve.core.errors import PrerequisiteError


@contextmanager
def new_folder(target: Path, *, mark: str = "", force: bool = False) -> Iterator[Path]:
    """Yield a folder to fill; it becomes ``target`` when the block ends well, and goes otherwise.

    Args:
        target: Where the export is to be; an empty folder may be there.
        mark: The file by which an earlier export is known from other people's folders.
        force: Whether an earlier export, and nothing else, may be replaced.

    Raises:
        PrerequisiteError: there is something already, or it cannot be written there.
    """
    target = Path(os.path.realpath(target))
    _check_folder(target, mark, force=force)
    with _beside(target) as aside:
        filled = aside / "new"
        filled.mkdir()
        yield filled
        _check_folder(target, mark, force=force)
        if target.is_dir():
            target.rename(aside / "old")
        filled.rename(target)


@contextmanager
def new_file(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield the name of a file to write; it becomes ``target`` when the block ends well.

    Args:
        target: Where it is to be.
        force: Whether it may replace a file.

    Raises:
        PrerequisiteError: there is something already, or it cannot be written there.
    """
    target = Path(os.path.realpath(target))
    _check_file(target, force=force)
    with _beside(target) as aside:
        yield aside / target.name
        _check_file(target, force=force)
        (aside / target.name).replace(target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Make a hidden folder on the same disk as ``target``, and remove it in the end."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", dir=target.parent))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise PrerequisiteError(
            f"cannot write {target}: {error.strerror}; name another place"
        ) from error


def _check_folder(target: Path, mark: str, *, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not mark or not (target / mark).is_file():
        raise PrerequisiteError(f"{target} is there already and not empty; name a new folder")
    if not force:
        raise PrerequisiteError(
            f"{target} holds an earlier export; --force replaces it, or name a new folder"
        )


def _check_file(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise PrerequisiteError(f"{target} is a folder; name a file in it")
    if target.exists() and not force:
        raise PrerequisiteError(f"{target} is there already; --force replaces it")
