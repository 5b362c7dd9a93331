"""`evolve heatmap` on a terminal, in a pipe, over time, and as files."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from evolve.cli import watch
from evolve.engine.events import ProgramEvaluated
from evolve.engine.run import run
from tests.cli.conftest import Invoke
from tests.command import write_config

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("columns", ["80", "120"])
def test_it_fits_its_terminal_with_and_without_colour(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    piped = invoke("heatmap").out
    assert piped.isascii()
    assert "|" in piped
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    colored = invoke("heatmap").out
    assert "\x1b[" in colored
    assert "█" in colored
    monkeypatch.setenv("NO_COLOR", "1")
    quiet = invoke("heatmap").out
    assert ESCAPE.sub("", quiet) == piped
    for text in (piped, colored, quiet):
        assert max(map(len, ESCAPE.sub("", text).splitlines())) <= int(columns)


def test_a_large_map_uses_the_columns_there_are(
    invoke: Invoke, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = ("--measure", "ast_nodes:0:60:130", "--measure", "mean:-20:20:4", "--save", "wide")
    assert invoke("remap", *kind, "--db", copied).code == 0
    shown = ("heatmap", "--archive", "wide", "--db", copied)
    monkeypatch.setenv("COLUMNS", "80")
    assert "each mark shows the best of 2 x 1 cells" in invoke(*shown).out
    monkeypatch.setenv("COLUMNS", "140")
    assert "each mark shows" not in invoke(*shown).out


def test_it_is_drawn_as_it_was_after_some_evaluations(invoke: Invoke) -> None:
    evaluations = invoke("ls", "--json").json[0]["evaluations"]
    now, *then = (
        invoke("heatmap", *at, "--json").json
        for at in ((), ("--at", str(evaluations)), ("--at", "1"), ("--at", "0"))
    )
    assert then[0] == now
    assert [cell["program"] for cell in then[1]["cells"]] == [1]
    assert then[2]["cells"] == []


def test_files_of_every_kind_are_written(invoke: Invoke, tmp_path: Path) -> None:
    files = {
        "png": b"\x89PNG",
        "svg": b"<?xml",
        "pdf": b"%PDF",
        "gif": b"GIF89a",
    }
    options = [part for kind in files for part in (f"--{kind}", tmp_path / f"map.{kind}")]
    drawn = invoke("heatmap", *options, "--frames", tmp_path / "frames")
    assert (drawn.code, drawn.out) == (0, "")
    for kind, start in files.items():
        assert (tmp_path / f"map.{kind}").read_bytes().startswith(start)
        assert f"wrote {tmp_path / f'map.{kind}'}" in drawn.err
    frames = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert frames[0] == "00000001.png"
    assert f"wrote {len(frames)} pictures" in drawn.err


def test_a_run_that_ended_is_watched_once(invoke: Invoke) -> None:
    watched = invoke("heatmap", "--watch")
    assert watched.code == 0
    assert watched.out == f"{invoke('heatmap').out}\nrun 1: finished\n"


def test_watching_goes_with_the_map_as_it_is_now_only(invoke: Invoke, tmp_path: Path) -> None:
    for others in (["--json"], ["--at", "3"], ["--png", tmp_path / "map.png"]):
        refused = invoke("heatmap", "--watch", *others)
        assert refused.code == 2
        assert "--watch" in refused.err


def test_a_live_run_is_drawn_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    began, drawn = threading.Event(), threading.Event()

    def wait_to_be_drawn(event: object) -> None:
        if isinstance(event, ProgramEvaluated):
            began.set()
            drawn.wait(60)

    def sleep(_: float) -> None:
        drawn.set()
        time.sleep(0.05)

    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    config = write_config(tmp_path, stop={"evaluations": 40})
    db = str(tmp_path / "live.db")
    searching = threading.Thread(
        target=run, args=(config,), kwargs={"db": db, "observers": [wait_to_be_drawn]}
    )
    searching.start()
    try:
        assert began.wait(60)
        watched = invoke("heatmap", "--watch", "--db", db)
    finally:
        drawn.set()
        searching.join()
    assert watched.out.endswith("run 1: finished\n")
    assert watched.out.count("mean (maximize)") + watched.out.count("error (minimize)") > 1
