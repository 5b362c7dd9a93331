"""Mode generalise: what length and growth cost."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.config.problem import Formula, load_problem
from evolve.core.errors import ConfigError, EvaluatorError
from evolve.core.evaluation import CaseResult, Outcome, Score, Usage
from evolve.core.measures import Objective
from evolve.core.program import Program
from evolve.engine.single import evaluate_file
from evolve.evaluate.modes import in_mode, time_growth
from tests.fakes import PROBLEM, write_problem


def took(milliseconds: float) -> CaseResult:
    return CaseResult("", Outcome.OK, Score(0.0), Usage(cpu_ns=int(milliseconds * 1e6)))


def test_growth_is_the_slope_of_the_logarithms_above_the_floor() -> None:
    cubic = [(n, took(n**3)) for n in (10.0, 20.0, 40.0)]
    assert time_growth(cubic, 100.0) == pytest.approx(3.0)
    imported = [(5.0, took(1e9)), *cubic]
    assert time_growth(imported, 100.0) == pytest.approx(3.0), "the first pays for the import"
    assert time_growth([(n, took(n)) for n in (10.0, 20.0, 90.0)], 100.0) == 0.0
    assert time_growth([(n, took(1e6 / n)) for n in (10.0, 20.0, 40.0)], 1.0) == 0.0
    assert time_growth([(10.0, took(9)), (10.0, took(99))], 1.0) == 0.0
    assert time_growth([(10.0, took(500))], 1.0) == 0.0


@pytest.mark.parametrize(("direction", "sign"), [("maximize", -1), ("minimize", 1)])
def test_length_and_growth_are_paid_for(direction: str, sign: int) -> None:
    problem = load_problem("grid_tiling")
    problem = replace(
        problem,
        objective=Objective("value", direction),  # type: ignore[arg-type]  # from the parameters
        formula=Formula(weight=0.5, nodes=10, floor_ms=1.0),
    )
    program = Program({"seed.py": "# EVOLVE-BLOCK-START\nx = 1\n# EVOLVE-BLOCK-END\n"})
    cases = [(n, took(n**2)) for n in (10.0, 20.0)]
    judged = in_mode(problem, program, Score(7.0, metrics={"kept": 1.0}), None, cases)
    nodes = 3  # the assignment, its target and its value
    assert judged.score.objective == pytest.approx(7.0 + sign * 0.5 * (nodes / 10 + 2.0))
    assert judged.score.metrics["unpriced"] == 7.0
    assert judged.score.metrics["kept"] == 1.0
    assert judged.measures["time_growth"] == pytest.approx(2.0)


def generalising(folder: Path, **changes: str) -> str:
    """Write the parabola as a problem of mode generalise; larger x take longer on purpose."""
    described = PROBLEM["problem.yaml"].rstrip() + (
        "\n        mode: generalise\n        formula: {weight: 1.0, nodes: 1000, floor_ms: 1}\n"
    )
    evaluate = PROBLEM["evaluate.py"].replace('Case({"x": x},', 'Case({"x": x}, size=x + 1,')
    write_problem(folder / "parabola", **{"problem": described, "evaluate": evaluate, **changes})
    return str(folder / "parabola")


def test_a_search_is_dearer_than_a_formula(tmp_path: Path) -> None:
    problem = generalising(tmp_path)
    slow = textwrap.dedent(
        """\
        import time
        def f(x):
            # EVOLVE-BLOCK-START
            end = time.process_time() + 0.03 * (x + 1) ** 2
            while time.process_time() < end:
                pass
            return 0.5 * x + 2.0
            # EVOLVE-BLOCK-END
        """
    )
    (tmp_path / "slow.py").write_text(slow)
    quick = evaluate_file(problem, tmp_path / "parabola/seed.py")
    searching = evaluate_file(problem, tmp_path / "slow.py")
    assert quick.score is not None
    assert searching.score is not None
    assert quick.score.metrics["unpriced"] == searching.score.metrics["unpriced"]
    assert 1.5 < searching.score.metrics["time_growth"] < 2.5
    assert searching.score.objective > quick.score.objective + 1.0


def test_cases_need_sizes_and_the_mode_its_weight(tmp_path: Path) -> None:
    problem = generalising(tmp_path, evaluate=PROBLEM["evaluate.py"])
    with pytest.raises(EvaluatorError, match="has no size"):
        evaluate_file(problem, tmp_path / "parabola/seed.py")
    wrong = PROBLEM["evaluate.py"].replace('Case({"x": x},', 'Case({"x": x}, size=x,')
    with pytest.raises(EvaluatorError, match="size of x=0 is 0, must be positive"):
        evaluate_file(
            generalising(tmp_path / "wrong", evaluate=wrong), tmp_path / "parabola/seed.py"
        )
    for line in ("mode: generalise", "formula: {weight: 1.0}"):
        described = PROBLEM["problem.yaml"].rstrip() + f"\n        {line}\n"
        generalising(tmp_path, problem=described)
        with pytest.raises(ConfigError, match="go together"):
            load_problem("./parabola", tmp_path)
