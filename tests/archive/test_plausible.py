"""Rules that choose by uncertain tests, on matrices whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.test_selection import SETTINGS, shares
from evolve.archive.plausible import RULES, Passed, Scores, b4, chosen, codet, max_pass, mutual


def test_b4_is_as_good_as_published_and_the_others_as_bad() -> None:
    default, hard = (shares(SETTINGS[name], 600) for name in ("default", "hard"))
    # Published: 0.98 against 0.59 and 0.83; 0.88 against 0.00 and 0.07; four standard errors.
    assert default["b4"] == pytest.approx(0.9825, abs=0.022)
    assert default["max_pass"] == pytest.approx(0.5903, abs=0.08)
    assert default["codet"] == pytest.approx(0.8256, abs=0.062)
    assert hard["b4"] == pytest.approx(0.8773, abs=0.054)
    assert hard["max_pass"] == pytest.approx(0.0007, abs=0.01)
    assert hard["codet"] == pytest.approx(0.0729, abs=0.043)
    assert hard["b4 (1000, 1000)"] == pytest.approx(0.1911, abs=0.065)


def test_a_wrong_program_that_passes_many_wrong_tests_misleads_max_pass_only() -> None:
    correct = [1, 1, 1, 0, 0, 0, 0, 0]
    passed = np.array([correct, correct, correct, [0, 0, 1, 1, 1, 1, 0, 0], [0] * 8], dtype=bool)
    assert chosen(max_pass(passed)).tolist() == [False, False, False, True, False]
    for rule in (b4, codet):
        assert chosen(rule(passed)).tolist() == [True, True, True, False, False]


def test_mutual_scores_weigh_a_test_by_who_passes_it() -> None:
    # Both pass three tests; those of the first are passed by good programs.
    passed = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 1, 1]], dtype=bool)
    scores = mutual(passed)
    assert max_pass(passed)[0] == max_pass(passed)[2]
    assert scores[0] > scores[2]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_treats_like_programs_alike_and_takes_any_shape(
    rule: Callable[[Passed], Scores],
) -> None:
    rng = np.random.default_rng(1)
    for shape in ((1, 1), (4, 1), (1, 6), (5, 9)):
        passed = rng.random(shape) < 0.5
        scores = rule(passed)
        assert scores.shape == (shape[0],)
        assert np.isfinite(scores).all()
        assert chosen(scores).any()
        again = rule(np.vstack([passed, passed]))
        assert np.allclose(again[: shape[0]], again[shape[0] :])
    assert np.isfinite(rule(np.zeros((3, 4), dtype=bool))).all()
    assert np.isfinite(rule(np.ones((3, 4), dtype=bool))).all()
