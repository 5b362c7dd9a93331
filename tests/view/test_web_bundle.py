"""A static copy: its names are its own, its links lead somewhere, nothing in it acts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evolve.view.web.bundle import write_bundle
from tests.view.hostile import DRAWING
from tests.view.test_web import check_harmless


@pytest.fixture(scope="module")
def copy(hostile_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "copy"
    write_bundle(str(hostile_database), folder, None, 3)
    return folder


def names(folder: Path) -> set[str]:
    """Return the files of a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_file_names_are_made_of_numbers_and_words_of_ours(copy: Path) -> None:
    word = "index|compare|program-\\d+|run-\\d+(-(programs|lineage|failures|spending|settings))?"
    for name in names(copy):
        ours = rf"(({word})\.html)|(image(-\d+){{3}}\.png)|(static/(page\.(css|js)|favicon\.svg))"
        assert re.fullmatch(ours, name), name


def test_images_lie_beside_their_page(copy: Path) -> None:
    assert (copy / "image-2-0-1.png").read_bytes() == DRAWING
    assert "image-2-0-0.png" not in names(copy), "it is no image"


def test_pages_are_harmless_and_every_link_leads_to_one(copy: Path) -> None:
    known = names(copy)
    linked: set[str] = set()
    for name in known:
        if not name.endswith(".html"):
            continue
        page = check_harmless((copy / name).read_text(encoding="utf-8"))
        for tag, attributes in page.tags:
            for target in (attributes.get("href"), attributes.get("src")):
                if target and not target.startswith("#"):
                    assert target in known, (name, target)
                    linked.add(target)
            assert not any(attribute.startswith("hx-get") for attribute in attributes)
            if tag == "meta" and attributes.get("http-equiv"):
                assert str(attributes["content"]).startswith("default-src 'none'")
    assert known - linked <= {"index.html"}


def test_prompts_and_differences_are_there(copy: Path) -> None:
    text = (copy / "program-2.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in text
    assert 'class="diff"' in text
    assert "Loading" not in text


def test_one_run_only(hostile_database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write_bundle(str(hostile_database), folder, 2, 3)
    assert "run-2.html" in names(folder)
    assert "run-1.html" not in names(folder)
    index = (folder / "index.html").read_text()
    assert "run-2.html" in index
    assert "#1" not in index
