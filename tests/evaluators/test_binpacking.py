"""Online bin packing: instances, the exact scorer, and the two ways to play an instance."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve import Case, Invalid, Score, Usage

ROOT = Path(__file__).parents[2]
PROBLEM = ROOT / "problems/online_bin_packing"


def load(path: Path) -> ModuleType:
    """Import a file the way plug-ins are: by path."""
    spec = importlib.util.spec_from_file_location(f"bundled_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


binpacking = load(ROOT / "evaluators/binpacking.py")
harness = load(PROBLEM / "harness.py")

Priority = Callable[..., Any]
PROGRAMS: dict[str, Priority] = {
    path.stem: load(path).priority
    for path in (PROBLEM / name for name in ("first_fit.py", "best_fit.py", "seed.py"))
}
GROUPS = {"weibull_60": 2, "uniform_30": 1}


@pytest.fixture
def evaluator() -> Any:
    return binpacking.OnlineBinPacking(search=GROUPS, held_out=GROUPS)


def interact(evaluator: Any, case: Case, priority: Priority) -> Any:
    async def call(**inputs: Any) -> Any:
        return priority(**inputs)

    return anyio.run(evaluator.interact, case, call)


def packed(evaluator: Any, output: Any) -> Score:
    """Score an assignment of three items of sizes 60, 50, 40 to bins of 100."""
    instance = binpacking.Instance("weibull_3", np.array([60, 50, 40]), 100)
    case = Case(inputs={}, secret=instance)
    score = evaluator.score(case, output, Usage())
    assert isinstance(score, Score)
    return score


def test_instances_repeat_differ_and_follow_their_class(evaluator: Any) -> None:
    cases = {stage: list(evaluator.cases(stage)) for stage in ("search", "held_out")}
    names = [case.name for case in cases["search"]]
    assert names == ["weibull_60/1", "weibull_60/2", "uniform_30/1"]
    again = list(evaluator.cases("search"))
    assert all(
        np.array_equal(one.inputs["items"], two.inputs["items"])
        for one, two in zip(cases["search"], again, strict=True)
    )
    everything = [tuple(c.inputs["items"]) for stage in cases.values() for c in stage]
    assert len(set(everything)) == len(everything)
    other = binpacking.OnlineBinPacking(search=GROUPS, held_out=GROUPS, seed=1)
    assert tuple(next(iter(other.cases("search"))).inputs["items"]) != everything[0]


def test_classes_have_the_sizes_of_the_literature() -> None:
    evaluator = binpacking.OnlineBinPacking(
        search={"weibull_20000": 1, "uniform_20000": 1}, held_out=GROUPS
    )
    weibull, uniform = (case.inputs for case in evaluator.cases("search"))
    assert (weibull["capacity"], uniform["capacity"]) == (100, 150)
    assert weibull["items"].min() >= 1
    assert weibull["items"].max() <= 100
    assert weibull["items"].mean() == pytest.approx(45 * math.gamma(4 / 3), abs=0.5)
    assert (uniform["items"].min(), uniform["items"].max()) == (20, 100)
    assert uniform["items"].mean() == pytest.approx(60, abs=0.7)


@pytest.mark.parametrize(
    "groups",
    [{"weibull": 1}, {"weibull_0": 1}, {"gauss_5": 1}, {"weibull_-5": 1}, {"weibull_9999999": 1}],
)
def test_a_group_that_means_nothing_is_refused(groups: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="CLASS_SIZE"):
        binpacking.OnlineBinPacking(search=groups, held_out=GROUPS)


def test_a_stage_without_a_scored_instance_is_refused() -> None:
    with pytest.raises(ValueError, match="held_out needs at least one instance"):
        binpacking.OnlineBinPacking(search=GROUPS, held_out={"uniform_10": 1})


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_ways_to_play_give_the_same_packing(evaluator: Any, name: str) -> None:
    for case in evaluator.cases("search"):
        beside = harness.run(PROGRAMS[name], **case.inputs)
        across = interact(evaluator, case, PROGRAMS[name])
        assert np.array_equal(beside, across)
        evaluator.score(case, across, Usage())


def test_first_fit_and_best_fit_do_what_their_names_say() -> None:
    items = np.array([60, 50, 70, 30, 40, 20])
    assert list(harness.run(PROGRAMS["first_fit"], items, 100)) == [0, 1, 2, 0, 1, 2]
    assert list(harness.run(PROGRAMS["best_fit"], items, 100)) == [0, 1, 2, 2, 0, 1]


def test_the_program_sees_fitting_bins_in_order_and_a_fresh_one_last() -> None:
    seen = []

    def priority(item: float, bins: Any) -> Any:
        seen.append((item, list(bins)))
        bins[:] = 0.0  # its own copy: this changes nothing
        return [0] * len(seen[-1][1])

    assert list(harness.run(priority, np.array([60, 50, 40]), 100)) == [0, 1, 0]
    assert seen == [(60, [100]), (50, [100]), (40, [40, 50, 100])]


def test_infinite_priorities_have_an_order() -> None:
    def priority(item: float, bins: Any) -> Any:
        with np.errstate(divide="ignore"):
            return 1 / (bins - item)

    assert list(harness.run(priority, np.array([60, 40]), 100)) == [0, 0]


@pytest.mark.parametrize("others", [-math.inf, 0.0, math.inf])
def test_nan_is_wanted_least_both_ways(evaluator: Any, others: float) -> None:
    def priority(item: float, bins: Any) -> Any:
        return np.where(np.arange(len(bins)) == len(bins) // 2, others, math.nan)

    case = next(iter(evaluator.cases("search")))
    beside = harness.run(priority, **case.inputs)
    assert np.array_equal(beside, interact(evaluator, case, priority))
    ranked = np.array([60, 50, 40])  # the third item may go to bins 0 and 1, and to a fresh one
    assert list(harness.run(priority, ranked, 100)) == [0, 1, 0 if others == -math.inf else 1]
    assert list(harness.run(lambda item, bins: bins * math.nan, ranked, 100)) == [0, 1, 0]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda bins: 1.0, id="scalar"),
        pytest.param(lambda bins: bins[1:], id="short"),
        pytest.param(lambda bins: bins[:, None], id="two-dimensional"),
        pytest.param(lambda bins: bins > 5, id="boolean"),
        pytest.param(lambda bins: bins * 1j, id="complex"),
        pytest.param(lambda bins: ["9"] * len(bins), id="strings"),
        pytest.param(lambda bins: [[1], [1, 2]], id="ragged"),
        pytest.param(lambda bins: None, id="none"),
    ],
)
def test_a_reply_that_is_no_priority_is_refused_both_ways(evaluator: Any, reply: Any) -> None:
    case = next(iter(evaluator.cases("search")))

    def priority(item: float, bins: Any) -> Any:
        return reply(bins)

    with pytest.raises(ValueError, match=r"priority|inhomogeneous"):
        harness.run(priority, **case.inputs)
    with pytest.raises(Invalid, match="priority"):
        interact(evaluator, case, priority)


@pytest.mark.parametrize(("output", "bins"), [([0, 1, 0], 2), (np.array([0, 1, 2]), 3)])
def test_a_packing_is_scored_by_its_excess(evaluator: Any, output: Any, bins: int) -> None:
    score = packed(evaluator, output)
    assert score.objective == pytest.approx(100 * (bins / 2 - 1))  # 150 of 100: at least two bins
    assert f"{bins} bins" in score.feedback


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([0, 0, 1], "bin 0 holds 110"),
        ([0, 1], "3 integers"),
        ([0, 1, 0, 2], "3 integers"),
        ([[0], [1], [0]], "3 integers"),
        ([0, 2, 1], "item 1 goes to bin 2"),
        ([1, 0, 1], "item 0 goes to bin 1"),
        ([0, -1, 0], "numbered from 0"),
        ([0, 1, 10**6], "numbered from 0"),
        ([0, 1, 2**64], "3 integers"),
        ([0.0, 1.0, 0.0], "3 integers"),
        ([0, 1, math.nan], "3 integers"),
        ([False, True, False], "3 integers"),
        (["0", "1", "0"], "3 integers"),
        ([0, [1], 2], "not an array"),
        (None, "3 integers"),
        ({}, "3 integers"),
        ("010", "3 integers"),
    ],
)
def test_what_is_no_packing_is_refused(evaluator: Any, output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        packed(evaluator, output)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_the_scorer_agrees_with_a_plain_count(output: list[int]) -> None:
    evaluator = binpacking.OnlineBinPacking(search=GROUPS, held_out=GROUPS)
    loads: dict[int, int] = {}
    valid = True
    for size, chosen in zip((60, 50, 40), output, strict=True):
        valid = valid and chosen <= len(loads)
        loads[chosen] = loads.get(chosen, 0) + size
    if valid and max(loads.values()) <= 100:
        assert packed(evaluator, output).objective == pytest.approx(100 * (len(loads) / 2 - 1))
    else:
        with pytest.raises(Invalid):
            packed(evaluator, output)


def test_full_bins_are_counted(evaluator: Any) -> None:
    assert packed(evaluator, [0, 1, 0]).measures == {"full_bins": 0.5}
    assert packed(evaluator, [0, 1, 2]).measures == {"full_bins": 0.0}


def test_the_objective_is_of_the_weibull_class_and_every_group_a_metric(evaluator: Any) -> None:
    scored = [
        (case, Score(objective=value, measures={"full_bins": value / 10}, feedback=f"{value}"))
        for case, value in zip(evaluator.cases("search"), (1.0, 2.0, 9.0), strict=True)
    ]
    score = evaluator.combine(scored)
    assert score.objective == 1.5
    assert score.measures == {"full_bins": pytest.approx(0.15)}
    assert score.feedback == "weibull_60/1: 1.0\nweibull_60/2: 2.0"
    assert score.metrics == {"excess_weibull_60": 1.5, "excess_uniform_30": 9.0}


def test_the_baselines_are_near_their_known_figures() -> None:
    """Other draws of the same classes: first fit 4.31 and 5.44 %, best fit 3.98 and 5.14 %."""
    evaluator = binpacking.OnlineBinPacking(
        search=GROUPS, held_out={"weibull_5000": 3, "uniform_500": 20}
    )
    means = {}
    for name, priority in PROGRAMS.items():
        scored = [
            (case, evaluator.score(case, harness.run(priority, **case.inputs), Usage()))
            for case in evaluator.cases("held_out")
        ]
        means[name] = evaluator.combine(scored)
    assert means["first_fit"].objective == pytest.approx(4.31, abs=0.35)
    assert means["best_fit"].objective == pytest.approx(3.98, abs=0.35)
    assert means["first_fit"].metrics["excess_uniform_500"] == pytest.approx(5.44, abs=0.35)
    assert means["best_fit"].metrics["excess_uniform_500"] == pytest.approx(5.14, abs=0.35)
    assert means["seed"] == means["best_fit"]
