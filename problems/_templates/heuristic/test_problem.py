"""Run by `pytest` in this folder."""

import asyncio
import math

import pytest
from evaluate import Tardiness, choice

from evolve import Case, Invalid


def play(case: Case, rule: object) -> float:
    """Return the score of a dispatching rule that is called here."""

    async def call(**inputs: object) -> object:
        return rule(**inputs)

    evaluator = Tardiness()
    order = asyncio.run(evaluator.interact(case, call))
    assert sorted(order) == list(range(len(order)))
    return evaluator.score(case, order, None).objective


def test_urgent_jobs_first_is_better_than_urgent_jobs_last() -> None:
    for case in Tardiness().cases("search"):
        first = play(case, lambda due, **_: -due)
        assert first < play(case, lambda due, **_: due)


@pytest.mark.parametrize(
    "bad", [None, "12", [1.0], [1, 2, 3], [math.nan, 1], [True, False], [[1, 2]]]
)
def test_what_is_not_a_number_for_each_job_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        choice(bad, 2)
