"""What holds for every problem whose score is a certificate: baselines, bounds, hostile outputs."""

from __future__ import annotations

import copy
import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.config.plugins import resolve
from evolve.config.problem import Problem, load_problem
from evolve.config.python_file import load_module

ROOT = Path(__file__).parents[2]
CERTIFIED = [
    "autocorrelation_1",
    "autocorrelation_2",
    "autocorrelation_3",
    "autocorrelation_3_absolute",
    "cap_set_8",
    "circle_packing_26",
    "circle_packing_32",
    "circles_rectangle_21",
    "difference_bases",
    "erdos_minimum_overlap",
    "heilbronn_convex_13",
    "heilbronn_convex_14",
    "heilbronn_triangle_11",
    "hexagon_packing_11",
    "hexagon_packing_12",
    "kissing_11d",
    "matrix_multiplication",
    "max_min_distance_2d_16",
    "max_min_distance_3d_14",
    "shannon_capacity_cycles",
    "sums_differences",
    "uncertainty_inequality",
    pytest.param("admissible_set", marks=pytest.mark.slow),
]


@cache
def problem(name: str) -> Problem:
    return load_problem(name)


def evaluator(name: str) -> Evaluator:
    described = problem(name)
    factory: Any = resolve(
        described.evaluator, seam="evolve.evaluators", folder=ROOT / "problems" / name
    )
    made = factory(**described.evaluator_options)
    assert isinstance(made, Evaluator)
    return made


@cache
def seed_outputs(name: str) -> list[tuple[Case, Any]]:
    """Return what the seed program gives for every case, arrays as lists."""
    module: Any = load_module(ROOT / "problems" / name / "seed.py")
    function = getattr(module, problem(name).entrypoint)
    return [
        (case, _plain(function(**copy.deepcopy(dict(case.inputs)))))
        for case in evaluator(name).cases("search")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def score(name: str, case: Case, output: Any) -> Score:
    result = evaluator(name).score(case, output, Usage())
    assert isinstance(result, Score)
    return result


def with_leaf(output: Any, leaf: Any, *, last: bool) -> Any:
    """Return a copy with its first or last number replaced."""
    if not isinstance(output, list):
        return leaf
    changed = list(output)
    place = -1 if last else 0
    changed[place] = with_leaf(changed[place], leaf, last=last)
    return changed


@pytest.mark.parametrize("name", CERTIFIED)
def test_the_seed_program_has_the_baseline_value_within_the_bounds_of_the_map(name: str) -> None:
    described = problem(name)
    judge = evaluator(name)
    started = time.process_time()
    scored = [(case, score(name, case, output)) for case, output in seed_outputs(name)]
    assert time.process_time() - started < 10
    total = judge.combine(scored)
    assert described.baseline is not None
    assert total.objective == pytest.approx(described.baseline.value, rel=1e-9)
    measured = [axis for axis in described.measures if axis.name != "ast_nodes"]
    assert {axis.name for axis in measured} <= total.measures.keys()
    for axis in measured:
        assert axis.low <= total.measures[axis.name] <= axis.high, axis.name
    assert described.family
    assert all(text.feedback for _, text in scored)
    assert next(iter(judge.cases("search"))).inputs == seed_outputs(name)[0][0].inputs


@pytest.mark.parametrize("name", CERTIFIED)
def test_the_record_is_better_than_the_baseline_and_the_zero_of_the_qd_score_worse(
    name: str,
) -> None:
    described = problem(name)
    assert described.baseline is not None
    assert described.record is not None
    up = 1 if described.objective.direction == "maximize" else -1
    assert up * described.record.value > up * described.baseline.value
    assert up * described.baseline.value > up * described.objective.offset
    assert len(described.record.source) > 20


@pytest.mark.parametrize("name", CERTIFIED)
def test_what_is_no_construction_is_refused(name: str) -> None:
    case, good = seed_outputs(name)[0]
    claimed = {"score": 1e9, "objective": 1e9, "output": good}
    whole: list[Any] = [None, True, 1, 1.5, math.nan, "[[0.5, 0.5, 0.1]]", b"", {}, claimed, []]
    wrapped: list[Any] = [[good], [[]], [None], [claimed], [[[[good]]]], [math.nan], [[math.nan]]]
    arrays: list[Any] = [
        np.zeros(0),
        np.zeros((0, 3)),
        np.zeros(()),
        np.full((2, 2, 2, 2), 0.5),
        np.array(good, dtype=object) if _even(good) else np.zeros((1, 1, 1, 1)),
        np.full(np.shape(good) if _even(good) else 3, math.nan),
        np.full(np.shape(good) if _even(good) else 3, 0.5 + 0.5j),
        np.ones(np.shape(good) if _even(good) else 3, dtype=bool),
    ]
    for output in [*whole, *wrapped, *arrays]:
        with pytest.raises(Invalid):
            score(name, case, output)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", CERTIFIED)
def test_a_single_leaf_that_is_no_good_number_refuses_the_whole(name: str, last: bool) -> None:
    case, good = seed_outputs(name)[0]
    leaves: list[Any] = [
        *(math.nan, math.inf, -math.inf, 1e300 * 1e10, 10**400, -(10**400)),
        *("1", "0.5", "nan", b"1", True, False, None, [], [0.5], {}, {"x": 1}),
        *(1 + 0j, 1j, np.array([0.5, 0.5]), np.array(math.nan)),
    ]
    for leaf in leaves:
        with pytest.raises(Invalid):
            score(name, case, with_leaf(good, leaf, last=last))


@pytest.mark.parametrize("name", CERTIFIED)
def test_an_answer_is_scored_the_same_every_time_and_whatever_holds_its_numbers(name: str) -> None:
    case, good = seed_outputs(name)[0]
    before = copy.deepcopy(good)
    first = score(name, case, good)
    assert score(name, case, good) == first
    assert good == before, "scoring must not change what it is given"
    if _even(good):
        assert score(name, case, np.array(good)) == first


def _even(value: Any) -> bool:
    """Return whether nested lists make an array."""
    if not isinstance(value, list):
        return True
    shapes = {np.shape(each) if _even(each) else None for each in value}
    return len(shapes) == 1 and None not in shapes


def with_leaves(output: Any, change: Any) -> Any:
    """Return a copy with every number changed."""
    if isinstance(output, list):
        return [with_leaves(each, change) for each in output]
    return change(output)


@pytest.mark.parametrize("name", CERTIFIED)
def test_numbers_that_nobody_worked_for_are_scored_or_refused_and_beat_no_record(name: str) -> None:
    case, good = seed_outputs(name)[0]
    rng = np.random.default_rng(0)
    changes: list[Any] = [
        *(lambda _, value=value: value for value in (0, 1, 0.5, -1, 1e-300, 5e-324, 1e6, 2)),
        *(lambda leaf, factor=factor: leaf * factor for factor in (-1, 2, 1 - 1e-9, 1 + 1e-9)),
        *(lambda leaf, factor=factor: leaf * factor for factor in (1e-300, 1e300, 1e-6, 0.0)),
        lambda leaf: leaf + 1,
        lambda _: float(rng.random()),
        lambda _: int(rng.integers(3)),
        lambda _: int(rng.integers(2**40)),
        lambda _: 10.0 ** float(rng.uniform(-300, 300)),
    ]
    outputs = [with_leaves(good, change) for change in changes]
    if isinstance(good, list):
        outputs += [good[::-1], good[:1], good[:2], good + good, good[1:] + good[:1]]
    record = problem(name).record
    assert record is not None
    for output in outputs:
        try:
            found = score(name, case, output)
        except Invalid:
            continue
        assert math.isfinite(found.objective)
        assert record.gain(found.objective, problem(name).objective) <= 0
