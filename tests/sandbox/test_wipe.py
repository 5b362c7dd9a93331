"""Wiping removes whatever a program may leave, and follows nothing it planted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evolve.sandbox.inside.wipe import wipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def test_everything_goes_and_the_folder_stays(folder: Path) -> None:
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/file").write_text("text")
    (folder / "a/b/c/file").write_text("text")
    os.mkfifo(folder / "pipe")
    for path in ("a/b/c", "a/b", "a"):
        (folder / path).chmod(0)
    folder.chmod(0)
    assert wipe(str(folder))
    assert list(folder.iterdir()) == []


def test_links_are_removed_and_not_followed(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o750)
    (precious / "file").write_text("text")
    (folder / "link").symlink_to(precious)
    (folder / "file").symlink_to(precious / "file")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "hard").hardlink_to(precious / "file")
    assert wipe(str(folder))
    assert list(folder.iterdir()) == []
    assert (precious / "file").read_text() == "text"
    assert precious.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("replaced", ["work", "."])
def test_a_folder_replaced_by_a_link_is_left_alone(tmp_path: Path, replaced: str) -> None:
    precious = tmp_path / "precious"
    (precious / "work").mkdir(parents=True)
    (precious / "work/file").write_text("text")
    link = tmp_path / "link"
    if replaced == "work":
        link.symlink_to(precious / "work")
        assert not wipe(str(link))
    else:
        link.symlink_to(precious)
        assert not wipe(str(link / "work"))
    assert (precious / "work/file").read_text() == "text"


def test_neither_depth_nor_long_paths_matter(folder: Path) -> None:
    before = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(1200):
            os.mkdir("x" * 100)  # noqa: PTH102 - relative, the path would be too long
            os.chdir("x" * 100)
        Path("file").write_text("at the bottom")
    finally:
        os.chdir(before)
    assert wipe(str(folder))
    assert list(folder.iterdir()) == []
