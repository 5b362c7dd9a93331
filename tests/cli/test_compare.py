"""`evolve compare`: a study is run once whatever happens to it, and judged from what is stored."""

from __future__ import annotations

import json
import signal
import textwrap
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.cli.compare import ways_of
from evolve.core.errors import ConfigError, StoreError
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from evolve.view.study import Asked, read_study
from tests.command import evolve, start, write_config
from tests.fakes import PROBLEM, write_problem

STUDY = ("--presets", "greedy,best_of_n", "--seeds", "2", "--evaluations", "8")


def compare(folder: Path, *arguments: str, config: str = "search.yaml") -> Any:
    """Compare in this process; return what was printed as JSON."""
    runs = [str(folder / config)] if config else []
    command = ["compare", *runs, *arguments, "--db", str(folder / "study.db"), "--json"]
    done = CliRunner().invoke(app, command)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def names(folder: Path) -> list[tuple[str, str]]:
    """Return name and status of every run."""
    with open_reader(str(folder / "study.db")) as reader:
        return [(run.name, run.status) for run in reader.runs()]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of two presets and two seeds."""
    folder = tmp_path_factory.mktemp("studied")
    write_config(folder)
    compare(folder, *STUDY)
    return folder


def test_every_way_has_every_seed_and_the_same_budget(studied: Path) -> None:
    expected = [f"{arm}/{seed}" for seed in range(2) for arm in ("greedy", "best_of_n")]
    assert names(studied) == [(name, "finished") for name in expected]
    with open_reader(str(studied / "study.db")) as reader:
        for run in reader.runs():
            stop = json.loads(run.config_json)["stop"]
            assert stop["evaluations"] == 8
            assert run.seed == int(run.name[-1])


def test_a_finished_study_is_judged_again_but_not_run_again(studied: Path) -> None:
    again, stored = compare(studied, *STUDY), compare(studied, config="")
    assert len(names(studied)) == 4
    assert again == stored
    (task,) = stored["tasks"]
    assert {arm["arm"] for arm in task["arms"]} == {"greedy", "best_of_n"}
    assert stored["budget"] == {"unit": "evaluations", "amount": 8}
    assert "2 seeds are too few" in stored["pairs"][0]["sentence"]
    assert len(stored["trials"]) == 4
    with open_reader(str(studied / "study.db")) as reader:
        for trial in stored["trials"]:
            record = reader.run(f"{trial['arm']}/{trial['seed']}")
            best = reader.best(record.id)
            assert best is not None
            assert trial["course"]["best"][-1] == best.objective
            assert trial["held_out"] is not None


def test_another_budget_or_configuration_is_not_mixed_in(studied: Path) -> None:
    with pytest.raises(StoreError, match="another budget"):
        compare(studied, "--presets", "greedy,best_of_n", "--evaluations", "9")
    with pytest.raises(StoreError, match="another configuration"):
        compare(studied, *STUDY, "--set", "selection.inspirations=1")
    assert len(names(studied)) == 4


def test_what_makes_no_study_is_said_so(studied: Path, tmp_path: Path) -> None:
    cases: list[tuple[tuple[str, ...], str]] = [
        (("--evaluations", "5", "--tokens", "5"), "the budget is one"),
        (("--presets", "greedy,greedy"), "two of the compared"),
        (("--presets", "greedy", "--set", "stop={target: 1}"), "no budget in common"),
        (("--presets", "gredy"), "did you mean"),
    ]
    for arguments, message in cases:
        with pytest.raises(ConfigError, match=message):
            compare(studied, *arguments)
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare(studied, "--against", "nobody", config="")
    open_store(str(tmp_path / "study.db")).close()
    with pytest.raises(StoreError, match="no finished run"):
        compare(tmp_path, config="")


def test_runs_are_called_by_what_they_differ_in(tmp_path: Path) -> None:
    write_config(tmp_path).rename(tmp_path / "a.yaml")
    write_config(tmp_path).rename(tmp_path / "b.yaml")
    write_problem(tmp_path / "other")
    a, b = str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")
    presets, problems = ["greedy", "islands"], [str(tmp_path / "parabola"), str(tmp_path / "other")]

    def labels(configs: list[str], presets: list[str], problems: list[str]) -> list[str]:
        return [way.label for way in ways_of(configs, presets, problems, [], "")]

    assert labels([a], presets, []) == presets
    assert labels([a, b], [], []) == ["a", "b"]
    assert labels([a, b], presets, []) == ["a/greedy", "a/islands", "b/greedy", "b/islands"]
    assert labels([a], presets, problems[:1]) == presets
    assert labels([a, b], [], problems) == ["parabola/a", "other/a", "parabola/b", "other/b"]
    assert labels([a], ["greedy"], problems) == ["parabola/greedy", "other/greedy"]
    assert labels([a, b], ["greedy"], problems[:1]) == ["a+greedy", "b+greedy"]
    write_config(tmp_path, problem="./other").rename(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="different problems"):
        labels([a, str(tmp_path / "c.yaml")], [], [])


@pytest.mark.slow
def test_many_problems_are_ranked(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    write_problem(tmp_path / "other")
    found = compare(
        tmp_path,
        *("--presets", "greedy,islands,best_of_n", "--seeds", "1", "--evaluations", "3"),
        *("--problems", f"{tmp_path}/parabola,{tmp_path}/other"),
        config=config.name,
    )
    assert [task["task"] for task in found["tasks"]] == ["parabola", "other"]
    assert len(found["ranks"]["ranks"]) == 3
    assert len(found["pairs"]) == 6
    assert {"cliff", "magnitude"} <= set(found["pairs"][0])


#: An evaluator that pauses after 60 scores, which is in the second run: the first makes at most 42.
PAUSES = textwrap.dedent(PROBLEM["evaluate.py"]).replace("error = abs", "pause(); error = abs")
PAUSES += """
import os, time

def pause():
    with open(__file__ + ".scored", "a") as file:
        file.write(".")
    while os.path.getsize(__file__ + ".scored") > 60 and not os.path.exists(__file__ + ".free"):
        time.sleep(0.1)
"""


@pytest.mark.slow
def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    write_problem(tmp_path / "parabola", evaluate=PAUSES)
    write_config(tmp_path)
    arguments = ("compare", "search.yaml", *STUDY, "--db", "study.db")
    with start(tmp_path, *arguments) as process:
        while not (tmp_path / "study.db").exists() or len(_evaluated(tmp_path)) < 10:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "parabola" / "evaluate.py.free").touch()
    before = set(_evaluated(tmp_path))
    assert any(status != "finished" for _, status in names(tmp_path)) or len(names(tmp_path)) < 4
    done = evolve(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "run 1 of 4" not in done.stderr, "it is finished"
    assert sorted(names(tmp_path)) == sorted(
        (f"{arm}/{seed}", "finished") for arm in ("greedy", "best_of_n") for seed in range(2)
    )
    assert before < set(_evaluated(tmp_path)), "what was evaluated is still there, with its id"


def _evaluated(folder: Path) -> list[int]:
    """Return the programs that have been evaluated, of all runs."""
    try:
        with open_reader(str(folder / "study.db")) as reader:
            found = [entry for run in reader.runs() for entry in reader.programs(run.id)]
    except StoreError:  # not made yet
        return []
    return [entry.id for entry in found if entry.outcome is not None]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained_and_shows_names_as_text(tmp_path: Path) -> None:
    write_config(tmp_path)
    text = (tmp_path / "search.yaml").read_text()
    names = ("<img src=x onerror=alert(1)>", "b")
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(text)
    files = [str(tmp_path / f"{name}.yaml") for name in names]
    page = tmp_path / "new" / "report.html"
    options = ("--seeds", "1", "--evaluations", "3", "--html", str(page))
    command = ["compare", *files, *options, "--db", str(tmp_path / "study.db")]
    assert CliRunner().invoke(app, command).exit_code == 0
    shown = Page(page.read_text())
    assert not {"script", "link", "iframe"} & set(shown.tags)
    assert shown.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in shown.sources)
    assert names[0] in shown.text
    assert "too few" in shown.text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_runs_of_the_same_search_are_not_told_apart(tmp_path: Path) -> None:
    """A/A with real runs: one search under two names, with seeds of their own."""
    write_config(tmp_path)
    claims = 0
    for study in range(3):
        for arm in "ab":
            seeds = range(100 * study + 50 * (arm == "b"), 100 * study + 50 * (arm == "b") + 6)
            for number, seed in enumerate(seeds):
                changes = {"seed": seed, "name": f"{arm}/{number}", "stop": {"evaluations": 6}}
                # One by one, so that the seeds decide everything, and with that what is claimed.
                write_config(tmp_path, slots=1, proposals=1, **changes)
                run(tmp_path / "search.yaml", db=str(tmp_path / f"{study}.db"))
        with open_reader(str(tmp_path / f"{study}.db")) as reader:
            names = [f"{arm}/{number}" for arm in "ab" for number in range(6)]
            (pair,) = read_study(reader, Asked(names=names)).report.pairs
        assert pair.paired.n == 6
        claims += pair.shown
    assert claims <= 1, "each of three is right with probability 0.97 or more"
