"""`evolve plot`: which pictures, of which run, into which files."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.engine.run import run
from evolve.view.pictures import PICTURES
from tests.cli.conftest import Invoke
from tests.command import write_config


def test_all_pictures_of_the_latest_run_go_into_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    drawn = invoke("plot", "-o", tmp_path / "all", "--format", "svg")
    assert drawn.code == 0
    missing = {
        "money": "its models cost nothing",
        "durations": "no evaluation has a measured time",
        "gap": "2 programs measured on held-out cases; `held_out: {best: true}`",
    }
    written = {path.name for path in (tmp_path / "all").iterdir()}
    assert written == {f"{kind}.svg" for kind in PICTURES if kind not in missing}
    assert all(f"left out {kind}: {reason}" in drawn.err for kind, reason in missing.items())


def test_kinds_and_run_are_told_apart(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "new" / "curve.pdf"
    for words in (["score"], ["1", "score"], ["latest", "score"], ["search", "score"]):
        assert invoke("plot", *words, "-o", file).code == 0
        assert file.read_bytes().startswith(b"%PDF")
        file.unlink()
    both = ("--format", "png", "--format", "pdf")
    assert invoke("plot", "growth", "failures", "-o", tmp_path / "two", *both).code == 0
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "failures.pdf",
        "failures.png",
        "growth.pdf",
        "growth.png",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["latest", "skore"], 2, "there is no picture 'skore'; did you mean 'score'?"),
        (["nope", "score"], 3, "no run 'nope'"),
        (["skore"], 3, "There is no picture 'skore' either; did you mean 'score'?"),
        (["score", "-o", "one.bmp"], 2, "cannot draw one.bmp; name it .png, .svg, .pdf"),
        (["score", "growth", "-o", "one.png"], 2, "one.png is one file for 2 pictures"),
        (["score", "--format", "bmp"], 2, "cannot draw score.bmp; name it .png, .svg, .pdf"),
        (["money"], 3, "run 1 has no picture 'money': its models cost nothing"),
        (["score", "-o", "search.yaml/x.png"], 3, "cannot write search.yaml/x.png: "),
    ],
)
def test_what_cannot_be_drawn_is_said(
    invoke: Invoke, words: list[str], code: int, said: str
) -> None:
    refused = invoke("plot", *words)
    assert refused.code == code
    assert said in refused.err


def test_the_kinds_are_listed(invoke: Invoke) -> None:
    listed = invoke("plot", "--list").out
    assert all(f" {kind} " in listed for kind in PICTURES)
    assert [row["kind"] for row in invoke("plot", "--list", "--json").json] == list(PICTURES)


def test_the_numbers_behind_are_printed(invoke: Invoke) -> None:
    numbers = invoke("plot", "--json").json
    run_row = invoke("ls", "--json").json[0]
    assert numbers["run"] == 1
    assert numbers["course"]["evaluations"][-1] == run_row["evaluations"]
    assert len({len(values) for values in numbers["course"].values()}) == 1
    assert numbers["growth"][-1]["evaluations"] == run_row["evaluations"]
    assert sum(arm["pulls"] for arm in numbers["operators"]) > 0


def test_a_run_without_any_score_has_the_pictures_that_there_can_be(
    invoke: Invoke, tmp_path: Path
) -> None:
    config = write_config(tmp_path, stop={"evaluations": 2}, proposals=1, slots=1)
    seed = tmp_path / "parabola" / "seed.py"
    seed.write_text(seed.read_text().replace("0.5 * x + 2.0", "1 / 0"))
    db = tmp_path / "failed.db"
    with pytest.raises(Exception, match="seed program"):
        run(config, db=str(db))
    drawn = invoke("plot", "--db", db, "-o", tmp_path / "failed")
    assert drawn.code == 0, drawn.err
    assert "left out score: no program has a score" in drawn.err
    assert [path.name for path in (tmp_path / "failed").iterdir()] == ["map.png"]
