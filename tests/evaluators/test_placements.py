"""Experts, rows and broadcasts: what is scored, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from evolve import Case, Evaluator, Invalid, Usage
from evolve.config.problem import load_problem
from evolve.config.python_file import load_module
from tests.evaluators.test_library import ROOT, evaluator


def first(name: str) -> tuple[Evaluator, Case]:
    made = evaluator(name)
    return made, next(iter(made.cases("search")))


def answer(name: str, program: str, case: Case) -> Any:
    module: Any = load_module(ROOT / "problems" / name / program)
    return getattr(module, load_problem(name).entrypoint)(**copy.deepcopy(dict(case.inputs)))


def test_a_hotter_expert_with_more_replicas_balances_better() -> None:
    made, case = first("expert_load_balancing")
    plain = made.score(case, answer("expert_load_balancing", "seed.py", case), Usage())
    greedy = made.score(case, answer("expert_load_balancing", "greedy.py", case), Usage())
    assert plain.objective < 0.6 < 0.9 < greedy.objective <= 1
    assert greedy.measures["hot_replicas"] > plain.measures["hot_replicas"]


def test_the_load_that_is_scored_is_not_shown() -> None:
    _, case = first("expert_load_balancing")
    loads = case.inputs["loads"]
    assert isinstance(loads, np.ndarray)
    assert loads.shape[0] == 4
    assert case.secret.loads.shape[0] == 5  # type: ignore[attr-defined]  # the evaluator's own


def test_a_placement_without_an_expert_is_refused() -> None:
    made, case = first("expert_load_balancing")
    good = np.array(answer("expert_load_balancing", "greedy.py", case))
    lost, strange = good.copy(), good.copy()
    lost[0][lost[0] == 3] = 4
    strange[0, 0, 0] = 64
    for bad in (lost, strange, good[:-1], good.astype(float), None, "x", [[1]], good - 65):
        with pytest.raises(Invalid):
            made.score(case, bad, Usage())


def test_shared_characters_are_counted_by_hand() -> None:
    made, _ = first("llm_sql_reordering")
    rows = [["a", "b", "c", "d", "e", "f"], ["a", "b", "x", "d", "e", "f"]]
    case = Case({}, secret=rows)
    fields = list(range(6))
    score = made.score(case, [[0, fields], [1, fields]], Usage())
    lines = [
        "category: a\n",
        "brand: b\n",
        "region: c\n",
        "rating: d\n",
        "title: e\n",
        "review: f\n",
    ]
    total = 2 * sum(map(len, lines))
    shared = len("category: a\nbrand: b\nregion: ")
    assert score.objective == shared / total
    last = [5, 4, 3, 1, 0, 2]
    better = made.score(case, [[0, last], [1, last]], Usage())
    assert better.objective == (total / 2 - len("c\n")) / total


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        [[0, [0, 1, 2, 3, 4, 5]]],
        [[0, [0, 1, 2, 3, 4, 5]]] * 2,
        [[0, [0, 1, 2, 3, 4]], [1, [0, 1, 2, 3, 4, 5]]],
        [[0, [0, 1, 2, 3, 4, 4]], [1, [0, 1, 2, 3, 4, 5]]],
        [[0, ["prefix" * 100]], [1, [0, 1, 2, 3, 4, 5]]],
        [[True, [0, 1, 2, 3, 4, 5]], [0, [0, 1, 2, 3, 4, 5]]],
    ],
)
def test_rows_and_fields_come_once(bad: Any) -> None:
    made, _ = first("llm_sql_reordering")
    with pytest.raises(Invalid):
        made.score(Case({}, secret=[["x"] * 6, ["y"] * 6]), bad, Usage())


def test_straight_to_each_is_the_measure_of_all_things() -> None:
    for case in evaluator("multicloud_broadcast").cases("held_out"):
        made = evaluator("multicloud_broadcast")
        straight = made.score(case, answer("multicloud_broadcast", "seed.py", case), Usage())
        assert straight.objective == pytest.approx(1)
        tree = answer("multicloud_broadcast", "cheapest_tree.py", case)
        assert made.score(case, tree, Usage()).objective < 0.7
        twice = [[*links, *links] for links in tree]
        assert made.score(case, twice, Usage()) == made.score(case, tree, Usage())


def test_every_part_reaches_every_destination_along_links_it_has() -> None:
    made, case = first("multicloud_broadcast")
    good = answer("multicloud_broadcast", "seed.py", case)
    source, end = case.inputs["source"], case.inputs["destinations"][0]  # type: ignore[index]  # a list
    others = [each for each in range(20) if each not in {source, *case.inputs["destinations"]}]  # type: ignore[misc]  # as above
    for bad in (
        None,
        good[:-1],
        [good[0][1:], *good[1:]],
        [[*good[0], [others[0], others[1]]], *good[1:]],
        [[*good[0], [source, source]], *good[1:]],
        [[*good[0], [source, 20]], *good[1:]],
        [[*good[0], [source, float(end)]], *good[1:]],  # type: ignore[arg-type]  # what it must refuse
    ):
        with pytest.raises(Invalid):
            made.score(case, bad, Usage())
