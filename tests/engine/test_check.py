"""Checking problems: leaks are found, good problems pass. Programs run in the process sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.problem import Problem, list_problems, load_problem
from evolve.engine.check import Checked, check_problem
from tests.evaluate.problems import problem

#: Returns its score, trusts lengths, and lets constraints pass by a thousandth.
LEAKY = """
def cases(self, stage):
    yield Case({"x": 3})
    yield Case({"x": 4})
def score(self, case, output, usage):
    value = float(output[0])
    if value > case.inputs["x"] + 1e-3:
        raise Invalid("too large")
    return Score(100.0 if value != value else value, {"size": 11.0})
"""
SOUND = """
def cases(self, stage):
    for x in (3, 4) if stage == "search" else (5,):
        yield Case({"x": x})
def score(self, case, output, usage):
    if not isinstance(output, int) or isinstance(output, bool):
        raise Invalid("an integer, please")
    if abs(output) > 1000:
        raise Invalid("too far")
    return Score(-abs(output - 2 * case.inputs["x"]), {"size": 1.0})
"""
NOISY = """
def cases(self, stage):
    yield Case({"x": 3})
def score(self, case, output, usage):
    return Score(float(int.from_bytes(os.urandom(4), "big")), {"size": 1.0})
"""


@pytest.fixture(autouse=True)
def _brief(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program that takes nearly all of its 5 s take a moment."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("evolve.engine.check.MARGIN_S", 4.7)


def _findings(checked: Checked, level: str) -> dict[str, str]:
    return {each.about: each.what for each in checked.findings if each.level == level}


def test_a_sound_problem_passes(tmp_path: Path) -> None:
    told: list[str] = []
    sound = problem(tmp_path, SOUND)
    (tmp_path / "prompt.md").write_text("Write f(x).\n")
    checked = check_problem(
        load_problem(str(sound.folder)), found=lambda each: told.append(each.about)
    )
    assert not _findings(checked, "error")
    assert not _findings(checked, "warning")
    assert told == [each.about for each in checked.findings]
    assert [(stage, case.case) for stage, case in checked.cases] == [
        ("search", "case 1"),
        ("search", "case 2"),
        ("held_out", "case 1"),
    ]
    assert sum(each.hostile for each in checked.findings) > 15


def test_holes_are_found(tmp_path: Path) -> None:
    leaky = problem(tmp_path, LEAKY, more="record: {value: 3, source: folklore}\n")
    (tmp_path / "seed.py").write_text("def f(x):\n    return [x + 0.0]\n")
    (tmp_path / "prompt.md").write_text("Do something.\n")
    checked = check_problem(load_problem(str(leaky.folder)))
    errors = _findings(checked, "error")
    assert "better" in errors["output: NaN in one number"]
    assert "itself failed" in errors["output: nothing"]
    assert "beats the record" in errors["seed program"]
    warnings = _findings(checked, "warning")
    assert {"held-out cases", "prompt.md", "measure size"} <= set(warnings)


def test_a_tolerance_that_can_be_farmed_is_an_error(tmp_path: Path) -> None:
    body = """
    def cases(self, stage):
        yield Case({"x": 3})
    def score(self, case, output, usage):
        return Score(output * 1e6 if output > 3 else output, {"size": 1.0})
    """
    farmed = problem(tmp_path, body)
    (tmp_path / "seed.py").write_text("def f(x):\n    return x + 0.0\n")
    errors = _findings(check_problem(load_problem(str(farmed.folder))), "error")
    assert "more than the change explains" in errors["output: floats plus 1e-9"]


def test_an_evaluator_that_drives_the_program_meets_tampered_answers(tmp_path: Path) -> None:
    body = """
    def cases(self, stage):
        yield Case({"x": 3})
    async def interact(self, case, call):
        return [await call(x=x) for x in range(3)]
    def score(self, case, output, usage):
        return Score(float(sum(output)), {"size": 1.0})
    """
    checked = check_problem(problem(tmp_path, body))
    assert "itself failed" in _findings(checked, "error")["output: text"]
    assert "output: infinity everywhere" in {each.about for each in checked.findings}


def test_noise_is_seen_and_a_promise_of_none_is_broken(tmp_path: Path) -> None:
    noisy = check_problem(problem(tmp_path / "a", NOISY))
    assert "differ by up to" in _findings(noisy, "warning")["repeated scoring"]
    broken = check_problem(problem(tmp_path / "b", NOISY, more="deterministic: true\n"))
    assert "differ by up to" in _findings(broken, "error")["repeated scoring"]


@pytest.mark.parametrize(
    ("made", "level", "said"),
    [
        ("seed % 5 + 3", "ok", "value from -6 to -4 on 3 sets"),
        ("3", "note", "the same score on the cases of every seed"),
        ("int.from_bytes(os.urandom(4), 'big')", "error", "the same seed gave"),
        ("'three'", "error", "the seed program has no score on some"),
    ],
)
def test_cases_made_from_seeds_are_looked_at(
    tmp_path: Path, made: str, level: str, said: str
) -> None:
    reseeding = f"""
def cases(self, stage):
    yield Case({{"x": 3}})
def reseed(self, case, seed):
    return Case({{"x": {made}}})
def score(self, case, output, usage):
    return Score(-float(abs(output - 2)), {{"size": 1.0}})
"""
    checked = check_problem(problem(tmp_path, reseeding))
    assert said in _findings(checked, level)["cases made from seeds"]


def test_a_harness_that_lets_programs_ruin_its_inputs_is_found(tmp_path: Path) -> None:
    harness = """\
def run(function, x):
    cargo = {"weights": [x, x, x]}
    function([cargo])
    return sum(cargo["weights"]) if cargo["weights"] else 1000
"""
    body = """
    def cases(self, stage):
        yield Case({"x": 3})
    """
    problem(tmp_path, body, harness=harness)
    (tmp_path / "seed.py").write_text("def f(x):\n    return 0\n")
    checked = check_problem(load_problem(str(tmp_path)))
    assert "better" in _findings(checked, "error")["program that ruins its inputs"]


#: Scores by nothing but the memory that a right answer took.
SMALL = """
def cases(self, stage):
    yield from (Case({"x": x}) for x in CASES[stage])
def score(self, case, output, usage):
    if list(output) != [case.inputs["x"]]:
        raise Invalid("not that")
    return Score(-usage.peak_memory_bytes / 1e6, {"size": 1.0})
"""


@pytest.mark.parametrize(
    ("held_out", "level", "said"),
    [
        ("(5, 6)", "note", "refused on held-out cases (invalid)"),
        ("(3, 4)", "warning", "better"),
        ("()", "warning", "better"),
    ],
)
def test_answers_by_heart_that_gain_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_out: str, level: str, said: str
) -> None:
    monkeypatch.setattr("evolve.engine.check.tamperings", tuple)
    monkeypatch.setattr("evolve.engine.check.impostors", lambda *_, **__: ())
    problem(tmp_path, SMALL.replace("CASES", f"{{'search': (3, 4), 'held_out': {held_out}}}"))
    (tmp_path / "seed.py").write_text(
        "import numpy\n"
        "def f(x):\n    taken = b'x' * 60_000_000\n    return numpy.array([x, taken[0]])[:1]\n"
    )
    checked = check_problem(load_problem(str(tmp_path)))
    assert said in _findings(checked, level)["program that recites the seed program's answers"]


def test_the_command_reports_and_fails(tmp_path: Path) -> None:
    problem(tmp_path, LEAKY)
    (tmp_path / "seed.py").write_text("def f(x):\n    return [x + 0.0]\n")
    runner = CliRunner()
    result = runner.invoke(app, ["problem", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "output: NaN in one number" in result.output
    assert "refuse it: raise Invalid" in result.output
    result = runner.invoke(app, ["problem", "check", str(tmp_path), "--json"])
    found = json.loads(result.stdout)
    assert found["errors"] == sum(each["level"] == "error" for each in found["findings"]) > 0
    assert found["cases"][0]["outcome"] == "ok"


def test_a_seed_program_without_a_score_ends_the_check(tmp_path: Path) -> None:
    problem(tmp_path, SOUND)
    (tmp_path / "seed.py").write_text("def f(x):\n    raise KeyError(x)\n")
    checked = check_problem(load_problem(str(tmp_path)))
    assert "no score (exception" in _findings(checked, "error")["seed program"]
    assert not any(each.hostile for each in checked.findings)


BUNDLED = [
    pytest.param(problem.id, marks=pytest.mark.gpu) if problem.limits.gpus else problem.id
    for _, problem in list_problems()
    if isinstance(problem, Problem)
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_problems_pass(name: str) -> None:
    checked = check_problem(load_problem(name))
    assert not _findings(checked, "error")
