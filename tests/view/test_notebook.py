"""Runs, archives and programs in a notebook: what they hold, and what they show of themselves."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

import evolve
from evolve.core.errors import StoreError
from evolve.core.program import Program
from evolve.store.store import open_store
from evolve.view.notebook import Runs
from tests.store.samples import Clock, entering, new_run, program, scored
from tests.view.test_ribs import fill

#: What a name, a source or a feedback may hold to act in a notebook.
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e"


class Shape(HTMLParser):
    """Collects the tags and attributes that a notebook would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A database with a run whose texts are hostile."""
    path = tmp_path / "x.db"
    with open_store(str(path), clock=Clock()) as store:
        run_id = store.create_run(new_run(EVIL)).id
        store.claim(run_id, "here:1")
        seed = store.add_program(run_id, program(0), operator="seed").id
        store.commit_evaluation(seed, scored(3.0), [entering(seed, 0, -3.0)])
        other = store.add_program(
            run_id, Program({"main.py": f"# {EVIL}\n"}), operator=EVIL, summary=EVIL,
            parent_ids=[seed], generation=1,
        ).id  # fmt: skip
        store.commit_evaluation(other, scored(1.0), [entering(other, 1, -1.0)])
    return evolve.load(str(path))


def test_runs_are_found_as_on_the_command_line(runs: Runs) -> None:
    assert len(runs) == 1
    assert [run.id for run in runs] == [1]
    assert runs["latest"] == runs[1] == runs[EVIL]
    with pytest.raises(StoreError, match="no run 7"):
        runs[7]


def test_a_run_gives_its_programs_and_archive(runs: Runs) -> None:
    run = runs[1]

    assert (run.best.id, run.best.objective) == (2, 1.0)
    assert run.best.files["main.py"] == f"# {EVIL}\n"
    assert run.best.measures == {"length": 12.0, "depth": 0.25}
    assert [entry.id for entry in run.leaderboard()] == [2, 1]
    assert {elite.key for elite in run.archive().archive.elites()} <= {1, 2}
    assert run.program(1).record.entry.operator == "seed"


def test_tables_come_by_columns(runs: Runs) -> None:
    columns = runs[1].columns()

    assert columns["objective"] == [3.0, 1.0]
    assert columns["parent"] == [None, 1]
    assert set(map(len, columns.values())) == {2}
    assert "text" in runs[1].columns("files")
    assert "texts" not in runs[1].columns("evaluations")
    assert json.loads(str(runs[1].columns("evaluations", long=True)["texts"][0]))
    with pytest.raises(StoreError, match="there are runs, programs"):
        runs[1].columns("program")


def test_nothing_in_what_is_shown_can_act(runs: Runs) -> None:
    run = runs[1]
    shown = {
        "runs": runs._repr_html_(),
        "run": run._repr_html_(),
        "archive": run.archive()._repr_html_(),
        "best": run.best._repr_html_(),
        "columns": run.columns()._repr_html_(),
        "program": Program(dict(run.best.files))._repr_html_(),
    }
    for name, text in shown.items():
        shape = Shape(text)
        assert not shape.open, name
        assert not {"script", "img", "a", "iframe", "link", "style"} & set(shape.tags), name
        assert not {"href", "src", "style", "onerror", "onclick"} & shape.attributes, name
        assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "\u202e" not in text, name
        assert len(text) < 20_000, name
    assert "<script>alert(1)</script>" in Shape(shown["best"]).text


@pytest.mark.parametrize("kind", ["grid", "cvt", "novelty"])
def test_every_kind_of_archive_is_drawn(kind: str, tmp_path: Path) -> None:
    from evolve.archive.spec import ArchiveSpec
    from tests.view.test_ribs import AXES, CENTROIDS

    centroids = CENTROIDS if kind == "cvt" else ()
    spec = ArchiveSpec(AXES, kind, centroids=centroids)  # type: ignore[arg-type] # one of the three
    fill(tmp_path / "x.db", spec, count=20)
    shape = Shape(evolve.load(str(tmp_path / "x.db"))[1].archive()._repr_html_())

    assert shape.tags.count("title") > 3, "a tip for every elite"
    assert "length" in shape.text


def test_an_empty_run_shows_itself(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "x.db")) as store:
        store.create_run(new_run())
    run = evolve.load(str(tmp_path / "x.db"))[1]

    assert "0 elites in 40 cells" in Shape(run._repr_html_()).text
    with pytest.raises(StoreError, match="no program with a score"):
        _ = run.best
