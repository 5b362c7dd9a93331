"""Grades as models write them."""

from __future__ import annotations

import pytest

from evolve.config.grading import GradeConfig
from evolve.llm.base import Completion
from evolve.propose.grade import Grader
from tests.propose.situations import PROBLEM

CONFIG = GradeConfig(name="elegance", ask="How elegant is this program?", low=-5.0)


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("It is short.\nGRADE: 7", 7.0),
        ("**GRADE:** `0.75`.", 0.75),
        ("GRADE: .5", 0.5),
        ("GRADE: -3", -3.0),
        ("GRADE: \u22123", -3.0),
        ("GRADE: 1\n\nNo, rather\n\nGRADE: 2\n", 2.0),
    ],
)
def test_a_grade_is_read_as_it_is_meant(reply: str, grade: float) -> None:
    assert Grader(CONFIG, "openai/judge", PROBLEM).read(Completion(reply)) == grade


@pytest.mark.parametrize("reply", ["GRADE: 7/10", "GRADE: 6 or 7", "GRADE: 11", "The GRADE is 5"])
def test_what_is_no_grade_on_the_scale_is_none(reply: str) -> None:
    assert isinstance(Grader(CONFIG, "openai/judge", PROBLEM).read(Completion(reply)), str)
