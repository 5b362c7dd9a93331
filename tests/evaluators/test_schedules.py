"""Transactions on hot keys, and jobs on spot machines: simulators against slow and simple ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve import Evaluator, Invalid, Usage
from tests.evaluators.play import play
from tests.evaluators.test_library import evaluator

Work = list[list[tuple[bool, int]]]
OPERATION = st.tuples(st.booleans(), st.integers(0, 3))
WORK = st.lists(st.lists(OPERATION, min_size=1, max_size=4), min_size=1, max_size=6)


def module_of(made: Evaluator) -> Any:
    """Return the functions and names of the module that an evaluator comes from."""
    return type(made).score.__globals__


def starts_slowly(work: Work) -> list[int]:
    """Start each transaction at the first time at which nothing it does meets a lock."""
    done: list[tuple[int, list[tuple[bool, int]]]] = []
    starts = []
    for operations in work:
        start = 0
        while any(
            start + offset < begun + len(earlier) and key == other and (write or other_write)
            for offset, (write, key) in enumerate(operations)
            for begun, earlier in done
            for other_write, other in earlier
        ):
            start += 1
        done.append((start, operations))
        starts.append(start)
    return starts


@given(WORK)
def test_transactions_start_as_early_as_locks_allow(work: Work) -> None:
    names = module_of(evaluator("transaction_scheduling"))
    starts = names["starting_times"](work, list(range(len(work))))
    assert starts == starts_slowly(work)
    ends = [start + len(operations) for start, operations in zip(starts, work, strict=True)]
    assert max(ends) >= names["hot_key_bound"](work)


@pytest.mark.parametrize("bad", [None, [0], [], "0123", [[0]]])
def test_an_order_names_every_transaction_once(bad: object) -> None:
    made = evaluator("transaction_scheduling")
    case = next(iter(made.cases("search")))
    size = len(case.inputs["transactions"])  # type: ignore[arg-type]  # a list
    for output in (bad, [0] * size, [*range(1, size), size], [float(i) for i in range(size)]):
        with pytest.raises(Invalid):
            made.score(case, output, Usage())  # type: ignore[arg-type]  # what it must refuse


def test_no_policy_misses_a_deadline_or_pays_less_than_the_work_on_spot() -> None:
    made = evaluator("spot_scheduling")
    rng = np.random.default_rng(0)
    for case in made.cases("search"):
        result = play(made, case, lambda **_: int(rng.integers(3)))
        score = made.score(case, result, Usage())
        assert 0.3 * 24 / 24.25 <= score.objective <= 3
        assert 0 <= score.measures["spot_share"] <= 1


def test_on_demand_from_the_start_costs_what_it_costs() -> None:
    made = evaluator("spot_scheduling")
    for case in made.cases("held_out"):
        score = made.score(case, play(made, case, lambda **_: 2), Usage())
        assert score.objective == pytest.approx(1.0)
        assert score.measures == {"starts": 1, "spot_share": 0}


def test_a_policy_that_waits_is_rescued_in_time() -> None:
    made = evaluator("spot_scheduling")
    for case in made.cases("search"):
        score = made.score(case, play(made, case, lambda **_: 0), Usage())
        assert score.objective == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [None, "1", 3, -1, 0.5, True, [1], float("nan")])
def test_what_is_no_decision_is_refused(bad: object) -> None:
    made = evaluator("spot_scheduling")
    with pytest.raises(Invalid):
        play(made, next(iter(made.cases("search"))), lambda **_: bad)
