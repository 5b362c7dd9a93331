"""Update rules, relaxation parameters and the arm: what is computed, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evolve import Evaluator, Invalid, Usage
from evolve.config.python_file import load_module
from tests.evaluators.play import play
from tests.evaluators.test_library import ROOT, evaluator


def names(made: Evaluator) -> dict[str, Any]:
    """Return what the module of an evaluator defines."""
    return type(made).score.__globals__


@pytest.mark.parametrize("stage", ["search", "held_out"])
def test_gradients_are_those_of_the_losses(stage: str) -> None:
    rng = np.random.default_rng(0)
    for task in names(evaluator("optimizer_discovery"))["tasks"](stage):
        at = task.start + rng.normal(0, 0.1, size=task.start.shape)
        batches = [task.gradient(at, step) for step in range(1, 301)]
        direction = rng.normal(size=at.shape)
        nudge = 1e-6 * direction
        slope = (task.loss(at + nudge) - task.loss(at - nudge)) / 2e-6
        expected = np.array([batch @ direction for batch in batches])
        error = expected.std() / math.sqrt(len(batches))
        assert abs(expected.mean() - slope) <= 5 * error + 1e-4 * abs(slope), task.name


def test_adam_is_as_quick_as_adam() -> None:
    made = evaluator("optimizer_discovery")
    rule: Any = load_module(ROOT / "problems" / "optimizer_discovery" / "adam.py")
    case = next(iter(made.cases("search")))
    score = made.score(case, play(made, case, rule.update), Usage())
    assert score.objective == 1.0
    assert score.measures == {"state_arrays": 2.0, "won": 0.0}


def test_a_rule_that_explodes_reaches_nothing() -> None:
    made = evaluator("optimizer_discovery")
    case = list(made.cases("search"))[2]
    output = play(made, case, lambda gradient, **_: [gradient * np.inf, []])
    assert output[0] == 600
    assert made.score(case, output, Usage()).objective < 0.25


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [np.zeros(100)],
        [np.zeros(99), []],
        [[0.0] * 100, []],
        [np.zeros(100), [np.zeros(100)] * 7],
        [np.zeros(100, dtype=int), []],
        [np.zeros(100), np.zeros(100)],
    ],
)
def test_what_is_no_change_and_state_is_refused(bad: object) -> None:
    made = evaluator("optimizer_discovery")
    case = next(iter(made.cases("search")))
    with pytest.raises(Invalid):
        play(made, case, lambda **_: bad)


def test_sweeps_solve_the_system_as_quickly_as_theory_says() -> None:
    made = evaluator("sor_omega")
    sweeps = names(made)["iterations"]
    systems = next(iter(made.cases("search"))).secret
    for index in (0, 7):
        shift = systems.shifts[index]  # type: ignore[attr-defined]  # the evaluator's own
        jacobi = 4 * math.cos(math.pi / 13) / (4 + shift)
        young = 2 / (1 + math.sqrt(1 - jacobi**2))
        best = min(sweeps(systems, index, omega) for omega in np.linspace(1, 1.9, 19))
        assert sweeps(systems, index, young) <= best + 5
        assert sweeps(systems, index, 1.0) > best


def test_the_best_constant_is_the_measure_of_all_policies() -> None:
    made = evaluator("sor_omega")
    case = next(iter(made.cases("search")))
    omega, _ = names(made)["best_constant"](case.secret)
    score = made.score(case, play(made, case, lambda **_: omega), Usage())
    assert score.objective == 1
    assert score.measures["mean_omega"] == pytest.approx(omega)
    assert score.measures["restlessness"] == pytest.approx(0)


@pytest.mark.parametrize("bad", [0, 2, 2.0, -1.0, math.nan, math.inf, None, "1.5", True, [1.5]])
def test_what_is_no_relaxation_parameter_is_refused(bad: object) -> None:
    made = evaluator("sor_omega")
    with pytest.raises(Invalid):
        play(made, next(iter(made.cases("search"))), lambda **_: bad)


def test_the_arm_ends_where_its_links_lead() -> None:
    made = evaluator("arm_repertoire")
    case = next(iter(made.cases("search")))
    stretched = made.score(case, [0.0] * 12, Usage())
    assert stretched.objective == 1
    assert stretched.measures == {"x": pytest.approx(1), "y": pytest.approx(0)}
    up = made.score(case, [math.pi / 2] + [0] * 11, Usage())
    assert up.measures == {"x": pytest.approx(0), "y": pytest.approx(1)}
    assert up.objective == pytest.approx(1 - np.var([math.pi / 2] + [0] * 11))
    ring = made.score(case, [math.pi / 6] * 12, Usage())
    assert ring.measures == {"x": pytest.approx(0), "y": pytest.approx(0)}


@pytest.mark.parametrize("bad", [None, [], [0.0] * 11, [4.0] * 12, [math.nan] * 12, ["0"] * 12])
def test_what_is_no_posture_is_refused(bad: object) -> None:
    made = evaluator("arm_repertoire")
    with pytest.raises(Invalid):
        made.score(next(iter(made.cases("search"))), bad, Usage())  # type: ignore[arg-type]  # what it must refuse
