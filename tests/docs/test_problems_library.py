"""The tables of the problem library say what evaluators say."""

from __future__ import annotations

import json

import pytest

from benchmarks.library import FIGURES, KNOWN, Known, agreement, judge
from evolve.config.problem import list_problems, load_problem

FOUND = json.loads(FIGURES.read_text())
SLOW = {"admissible_set"}


def test_every_figure_belongs_to_a_problem_and_every_construction_has_its_row() -> None:
    assert set(FOUND) <= {name for name, _ in list_problems()}
    assert all(figures["seed"] is not None for figures in FOUND.values())
    rows = [row["name"] for figures in FOUND.values() for row in figures["published"]]
    assert sorted(rows) == sorted(known.name for known in KNOWN)


def test_digits_are_counted_after_leading_zeros() -> None:
    assert agreement(0.0365298898800301, "0.0365298898800301") == 15
    assert agreement(3.93009106619, "3.9300910662") == 11
    assert agreement(1.2, "1.3") == 1
    assert agreement(7.0, "1.3") == 0


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(
            known, id=known.name, marks=[pytest.mark.slow] if known.problem in SLOW else []
        )
        for known in KNOWN
    ],
)
def test_a_published_construction_is_worth_what_the_table_says(known: Known) -> None:
    judged = judge(known, load_problem(known.problem))
    if judged is None:
        pytest.skip(f"the published construction {known.name} is not here")
    (row,) = [row for row in FOUND[known.problem]["published"] if row["name"] == known.name]
    assert row["objective"] == judged[0]
    assert row["value"] == known.value
    digits = len(known.value.replace(".", "").lstrip("0"))
    assert row["digits"] == agreement(judged[0], known.value) >= min(digits, 15)
