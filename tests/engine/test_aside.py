"""What a run measures beside its search: held-out cases on the way, gaps, scores that vary."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.core.measures import Objective
from evolve.engine.aside import PATIENCE, gap, growing_gap
from evolve.engine.events import Event, HeldOutScored, Warned
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.records import HeldOutPoint
from tests.command import evolve_here
from tests.engine.author import Author
from tests.engine.test_end_to_end_models import configure
from tests.fake_llm_server import FakeLLMServer
from tests.fakes import write_problem

UP, DOWN = Objective("score"), Objective("loss", "minimize")
SECRET = "only the held-out cases say so"
#: The held-out cases have feedback of their own.
EVALUATOR = f"""\
from evolve import Case, Evaluator, Score


class Parabola(Evaluator):
    def cases(self, stage):
        yield Case({{"x": 2}}, name=stage, secret=5)

    def score(self, case, output, usage):
        error = abs(min(float(output), 1e6) - case.secret)
        feedback = "{SECRET}" if case.name == "held_out" else "off by some"
        return Score(error, {{"mean": 0.0}}, feedback=feedback)
"""


def config(folder: Path, **changes: object) -> dict[str, object]:
    return {
        "problem": str(folder / "parabola"),
        "slots": 2,
        "order": "strict",
        "sandbox": {"kind": f"{Path(__file__).parents[1] / 'fakes.py'}:InProcessSandbox"},
        "proposers": [{"kind": "genetic"}],
        "stop": {"evaluations": 40},
        **changes,
    }


def search(folder: Path, name: str = "evolve.db", **changes: object) -> list[Event]:
    events: list[Event] = []
    run(config(folder, **changes), db=str(folder / name), observers=[events.append])
    return events


def test_every_new_best_is_measured_and_nothing_else_changes(tmp_path: Path) -> None:
    write_problem(tmp_path / "parabola")
    plain = search(tmp_path, "plain.db")
    events = search(tmp_path, held_out={"best": True})
    measured = [event for event in events if isinstance(event, HeldOutScored)]
    assert len(measured) >= 2
    assert not [event for event in plain if isinstance(event, HeldOutScored)]
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        points = reader.held_out(1)
        digest = reader.archive_digest(1)
        assert {event.program_id for event in measured} <= {each.program_id for each in points}
        assert [each.evaluations for each in points] == sorted(each.evaluations for each in points)
        for each in points:
            search_cases, held_out = (
                reader.evaluation_of(each.program_id, stage, reader.run().problem_hash)
                for stage in ("search", "held_out")
            )
            assert search_cases is not None
            assert held_out is not None
            assert search_cases.score is not None
            assert held_out.score is not None
            assert each.search == search_cases.score.objective
            assert each.held_out == held_out.score.objective
    with open_reader(str(tmp_path / "plain.db")) as reader:
        assert reader.archive_digest(1) == digest


def test_the_best_is_measured_every_so_often(tmp_path: Path) -> None:
    write_problem(tmp_path / "parabola")
    events = search(tmp_path, held_out={"every": 5})
    assert [event for event in events if isinstance(event, HeldOutScored)]


def test_no_prompt_holds_anything_of_the_held_out_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "key")
    write_problem(tmp_path / "parabola", evaluate=EVALUATOR)
    with FakeLLMServer(Author()) as server:
        settings = configure(
            tmp_path,
            server,
            stop={"evaluations": 15},
            proposers=[{"kind": "diff"}, {"kind": "rewrite"}],
            held_out={"best": True, "every": 1},
        )
        run(settings, db=str(tmp_path / "evolve.db"))
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert len(reader.held_out(1)) >= 2
        feedback = [
            evaluation.feedback
            for entry in reader.programs(1)
            for evaluation in reader.program(entry.id).evaluations
            if evaluation.stage == "held_out"
        ]
        prompts = [call.prompt for proposal in reader.proposals(1) for call in proposal.completions]
    assert any(SECRET in each for each in feedback)
    assert len(prompts) >= 10
    assert any("off by some" in each for each in prompts)
    assert not any(SECRET in each for each in prompts)


def points(*pairs: tuple[float, float]) -> tuple[HeldOutPoint, ...]:
    return tuple(HeldOutPoint(n, 10 * n, *pair) for n, pair in enumerate(pairs))


def test_a_growing_gap_is_told_early_and_in_both_directions() -> None:
    fitting = points((1, 1), (2, 1.9), (3, 1.8), (4, 1.7), (5, 1.6))
    assert "since program 1" in growing_gap(fitting, UP)
    assert "from 2 to 5" in growing_gap(fitting, UP)
    negated = tuple(
        HeldOutPoint(p.program_id, p.evaluations, -p.search, -p.held_out) for p in fitting
    )
    assert "since program 1" in growing_gap(negated, DOWN)
    assert gap(fitting[-1], UP) == gap(negated[-1], DOWN) == pytest.approx(3.4)


@pytest.mark.parametrize(
    ("seen", "hidden", "grows"),
    [(0.1, 0.1, True), (1.0, 0.1, True), (1.2, 0.1, False), (0.1, 1.3, False), (1.0, 1.0, False)],
)
def test_a_gap_that_chance_may_have_made_is_none(seen: float, hidden: float, grows: bool) -> None:
    """The search score rose by 3, the gap from 0.1 to 3.4."""
    fitting = points((1, 1), (2, 1.9), (3, 1.8), (4, 1.7), (5, 1.6))
    noisy = tuple(replace(p, search_error=seen, held_out_error=hidden) for p in fitting)
    assert bool(growing_gap(noisy, UP)) is grows


def test_what_improves_on_both_is_no_gap() -> None:
    assert growing_gap(points((1, 1), (2, 1.5), (3, 2), (4, 2.5), (5, 3)), UP) == ""
    assert growing_gap(points((1, 1), (2, 1.9), (3, 1.8), (4, 1.7)), UP) == ""  # too early
    flat = points((1, 1), (5, 3), *[(5, 2.0)] * PATIENCE)
    assert growing_gap(flat, UP) == ""  # the search has not risen either
    assert growing_gap((), UP) == ""


def test_scores_that_vary_unsaid_are_told_at_the_start(tmp_path: Path) -> None:
    counting = "    calls = 0\n\n    def cases"
    more = "Parabola.calls += 1\n        error = Parabola.calls +"
    shaky = EVALUATOR.replace("    def cases", counting).replace("error =", more)
    write_problem(tmp_path / "parabola", evaluate=shaky)
    told = [event.text for event in search(tmp_path) if isinstance(event, Warned)]
    assert len(told) == 1
    assert "noise: {}" in told[0]
    said = search(tmp_path, "said.db", noise={"repeats": 2, "most": 4}, stop={"evaluations": 5})
    assert not [event for event in said if isinstance(event, Warned)]


def test_steady_scores_are_not_warned_of(tmp_path: Path) -> None:
    write_problem(tmp_path / "parabola")
    assert not [event for event in search(tmp_path) if isinstance(event, Warned)]


def test_the_gap_is_shown(tmp_path: Path) -> None:
    write_problem(tmp_path / "parabola")
    search(tmp_path, held_out={"best": True})
    shown = evolve_here(tmp_path, "show")
    assert "held-out cases along the run" in shown.stdout
    data = json.loads(evolve_here(tmp_path, "show", "--json").stdout)
    names = {"program_id", "evaluations", "search", "held_out", "search_error", "held_out_error"}
    assert names == set(data["held_out"][0])
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as connection, connection:
        stages = "SELECT count(*) FROM evaluations WHERE stage = 'held_out'"
        assert connection.execute(stages).fetchone()[0] >= len(data["held_out"])
