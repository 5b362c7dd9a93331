"""What is said of hostile programs whose scores are better than honest ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.measures import Objective
from evolve.evaluate.check import Honest, judge_impostor
from evolve.evaluate.impostors import Impostor
from tests.evaluate.problems import PROGRAM
from tests.propose.situations import PROBLEM

IMPOSTOR = Impostor("remembers", PROGRAM)


def evaluated(objective: float) -> Evaluation:
    return Evaluation(Outcome.OK, Score(objective))


@pytest.mark.parametrize(
    ("mode", "score", "level"),
    [
        ("construct", 2.0, "error"),
        ("construct", 1.2, "ok"),  # honest ones lie as far apart
        ("search", 2.0, "warning"),  # so may the next honest one be: it stops by the clock
        ("search", 0.5, "ok"),
    ],
)
def test_a_better_score_is_a_hole_unless_programs_stop_by_the_clock(
    mode: str, score: float, level: str
) -> None:
    problem = replace(PROBLEM, mode=mode, objective=Objective("value", "maximize"))
    honest = Honest.of([evaluated(1.0), evaluated(1.1)], problem)
    assert judge_impostor(IMPOSTOR, honest, evaluated(score)).level == level
