"""`evolve db`, and every command on a copy of a run in a database of either kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evolve.store.opening import shown
from evolve.store.reader import open_reader
from evolve.store.schema import VERSION
from tests.cli.conftest import Invoke
from tests.command import write_config
from tests.postgres_server import GUARDED, SECRET, Server
from tests.store.test_upgrades import of_version

#: Commands that only read, but for --db.
READING = (
    ("ls",),
    ("ls", "--json"),
    ("show",),
    ("show", "--json"),
    ("show", "--provenance"),
    ("best",),
    ("best", "--json"),
    ("heatmap",),
    ("heatmap", "--json"),
    ("program", "3"),
    ("program", "5", "--json"),
    ("remap",),
    ("replay", "--json"),
    ("hint",),
    ("compare", "--json"),
)


@pytest.fixture
def copy(invoke: Invoke, url: str, tmp_path: Path) -> str:
    """A copy of the finished run, in a database of either kind."""
    goal = url if url.startswith("postgresql") else str(tmp_path / "again.db")
    assert invoke("db", "copy", "evolve.db", goal).code == 0
    return goal


@pytest.mark.postgres
def test_commands_say_the_same_of_a_copy_on_a_server(
    invoke: Invoke, searched: Path, postgres_url: str
) -> None:
    assert invoke("db", "copy", "evolve.db", postgres_url).code == 0
    for command in READING:
        said = invoke(*command, "--db", "evolve.db")
        again = invoke(*command, "--db", postgres_url)
        assert again.code == said.code, command
        here = shown(postgres_url)
        assert again.out.replace(here, "evolve.db") == said.out, command
        assert again.err.replace(here, "evolve.db") == said.err, command
    assert "1 runs" in invoke("doctor", "--db", postgres_url).out


@pytest.mark.postgres
def test_exports_of_a_copy_are_equal(invoke: Invoke, postgres_url: str, tmp_path: Path) -> None:
    assert invoke("db", "copy", "evolve.db", postgres_url).code == 0
    for name, db in (("one", "evolve.db"), ("two", postgres_url)):
        assert invoke("export", "-o", tmp_path / name, "--format", "jsonl", "--db", db).code == 0
        assert invoke("view", "--bundle", tmp_path / f"{name}-page", "--db", db).code == 0
        assert invoke("plot", "-o", tmp_path / f"{name}-plots", "--db", db).code == 0
    files = [each.name for each in (tmp_path / "one").iterdir()]
    assert len(files) > 10
    for name in files:
        one, two = ((tmp_path / side / name).read_text() for side in ("one", "two"))
        assert one == two, name
    pages = [
        {each.relative_to(place) for each in place.rglob("*.html")}
        for place in (tmp_path / "one-page", tmp_path / "two-page")
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]) > 20


def test_commands_that_write_work_on_a_copy(invoke: Invoke, copy: str, tmp_path: Path) -> None:
    assert invoke("hint", "1", "Try a cube.", "--db", copy).code == 0
    assert "Try a cube." in invoke("hint", "1", "--db", copy).out
    assert invoke("remap", "--measure", "ast_nodes", "--save", "again", "--db", copy).code == 0
    shutil.copytree("parabola", tmp_path / "parabola")
    config = write_config(tmp_path, stop={"evaluations": 10})
    assert invoke("run", config, "--db", copy).code == 0
    assert invoke("replay", "2", "--db", copy).code == 0
    assert "EVOLVE-BLOCK" in invoke("best", "2", "--db", copy).out


def test_what_is_there_already_is_refused_or_left_out(invoke: Invoke, copy: str) -> None:
    again = invoke("db", "copy", "evolve.db", copy)
    assert (again.code, again.err) == (0, "run 1 is there already, as run 1\n")
    again = invoke("db", "copy", "evolve.db", copy, "--run", "1")
    assert (again.code, "is there already" in again.err) == (3, True)


def test_a_copy_goes_back(invoke: Invoke, copy: str, tmp_path: Path) -> None:
    back = invoke("db", "copy", copy, tmp_path / "back.db", "--json").json
    with open_reader("evolve.db") as reader, open_reader(str(tmp_path / "back.db")) as other:
        assert other.archive_digest(1) == reader.archive_digest(1)
    assert [(each["run_id"], each["copy_id"], each["renumbered"]) for each in back] == [(1, 1, 0)]


def test_an_older_database_is_upgraded(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old.db"
    of_version(old, "0010", monkeypatch)
    refused = invoke("ls", "--db", old)
    assert (refused.code, "`evolve db upgrade`" in refused.err) == (3, True)
    assert f"schema 0010 became schema {VERSION}" in invoke("db", "upgrade", "--db", old).out
    assert invoke("ls", "--db", old).code == 0
    assert f"schema {VERSION} already" in invoke("db", "upgrade", "--db", old).out


@pytest.mark.postgres
def test_no_output_has_the_password(
    invoke: Invoke, postgres_url: str, postgres: Server, tmp_path: Path
) -> None:
    assert invoke("db", "copy", "evolve.db", postgres_url).code == 0
    secret = postgres.url("evolve", GUARDED, SECRET)
    page = str(tmp_path / "page")
    for command in (("ls",), ("doctor",), ("view", "--bundle", page), ("run", "search.yaml")):
        said = invoke(*command, "--db", secret)
        for text in (said.out, said.err):
            assert "hunter2" not in text, command
