"""The verdict of a study: right about what there is, silent about what there is not."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from evolve.core.measures import Objective
from evolve.stats import describe
from evolve.stats.courses import Course
from evolve.stats.study import Report, Rules, Trial, judge

ERROR = Objective("error", "minimize", 100.0)
SCORE = Objective("score", "maximize", 0.0)


def trials(arm: str, finals: list[float], task: str = "task", start: float = 50.0) -> list[Trial]:
    """Return trials that reach their final value at half the budget of 100."""
    return [
        Trial(task, arm, seed, Course((1.0, 50.0), (start, value)), held_out=value + 1)
        for seed, value in enumerate(finals)
    ]


def study(arms: dict[str, list[float]], objective: Objective = ERROR, **rules: object) -> Report:
    """Judge trials of one task."""
    given = [trial for arm, finals in arms.items() for trial in trials(arm, finals)]
    return judge(given, {"task": objective}, Rules(100.0, **rules))  # type: ignore[arg-type]  # by name


def test_a_clear_difference_is_shown_the_right_way_round() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(5, 1, 10).tolist(), rng.normal(20, 1, 10).tolist()
    for objective, better in ((ERROR, "low"), (SCORE, "high")):
        for arms in ({"low": low, "high": high}, {"high": high, "low": low}):
            report = study(arms, objective)
            assert report.pairs[0].shown
            assert f"{better} is better than" in report.pairs[0].sentence.lower()
            assert "better in 10 and worse in 0 of 10 seeds" in report.verdict[1]
            assert report.tasks[0].arms[0].arm == better
            assert report.pairs[0].paired.magnitude == "large"


def test_equals_are_not_told_apart_and_the_report_says_what_it_could_have_seen() -> None:
    rng = np.random.default_rng(1)
    report = study({name: rng.normal(5, 1, 10).tolist() for name in "abc"})
    assert report.verdict == ("No difference shown in 3 comparisons at level 0.05.",)
    for pair in report.pairs:
        assert pair.detectable is not None
        assert 0.5 < pair.detectable < 5
        assert "10 seeds show a difference of" in pair.sentence


def test_too_few_seeds_are_told_as_such() -> None:
    report = study({"a": [1.0] * 5, "b": [9.0] * 5})
    assert not report.pairs[0].shown
    assert "none could be: 5 seeds are too few" in report.pairs[0].sentence
    assert "it takes 6" in report.pairs[0].sentence
    assert study({"a": [1.0] * 6, "b": [9.0] * 6}).pairs[0].shown


def test_only_seeds_that_all_arms_have_are_paired() -> None:
    given = [*trials("a", [1.0] * 8), *trials("b", [2.0] * 6)]
    report = judge(given, {"task": ERROR}, Rules(100.0))
    assert report.tasks[0].seeds == tuple(range(6))
    assert report.incomplete == 2
    with pytest.raises(ValueError, match="nothing to compare"):
        judge(trials("a", [1.0]), {"task": ERROR}, Rules(100.0))
    apart = [*trials("a", [1.0]), *trials("b", [1.0, 2.0])[1:]]
    with pytest.raises(ValueError, match="no seed is finished for all of a, b"):
        judge(apart, {"task": ERROR}, Rules(100.0))


def test_one_arm_can_be_the_measure_of_the_others() -> None:
    rng = np.random.default_rng(2)
    arms = {name: rng.normal(5, 1, 8).tolist() for name in "abcd"}
    report = study(arms, against="c")
    assert [(pair.first, pair.second) for pair in report.pairs] == [
        ("a", "c"),
        ("b", "c"),
        ("d", "c"),
    ]


def test_budget_held_out_values_and_target_change_what_is_judged() -> None:
    arms = {"a": [1.0] * 8, "b": [2.0] * 8}
    given = [trial for arm, finals in arms.items() for trial in trials(arm, finals)]
    early = judge(given, {"task": ERROR}, Rules(40.0))
    assert early.tasks[0].arms[0].final.median == 50.0
    held_out = judge(given, {"task": ERROR}, Rules(100.0, by="held_out"))
    assert held_out.tasks[0].arms[0].final.median == 2.0
    solved = judge(given, {"task": ERROR}, Rules(100.0, targets={"task": 1.0})).tasks[0].arms
    assert [[each.hits for each in arm.solved] for arm in solved] == [[0, 8, 8], [0, 0, 0]]
    missing = [Trial("task", arm, 0, Course((1.0,), (1.0,))) for arm in "ab"]
    with pytest.raises(ValueError, match="held-out"):
        judge(missing, {"task": ERROR}, Rules(100.0, by="held_out"))


def test_what_comes_after_the_budget_reaches_no_target() -> None:
    late = [Trial("task", "late", seed, Course((1.0, 101.0), (50.0, 5.0))) for seed in range(6)]
    given = [*late, *trials("in time", [5.0] * 6)]
    report = judge(given, {"task": ERROR}, Rules(100.0, targets={"task": 5.0}))
    solved = {each.arm: each.solved[-1].hits for each in report.tasks[0].arms}
    assert solved == {"late": 0, "in time": 6}
    assert report.scores == {"late": 0.0, "in time": 1.0}


def test_many_tasks_are_ranked_and_profiled_each_in_its_own_direction() -> None:
    rng = np.random.default_rng(4)
    objectives = {f"task {number}": (ERROR, SCORE)[number % 2] for number in range(8)}
    given = []
    for task, objective in objectives.items():
        for arm, better in (("good", 10.0), ("middle", 5.0), ("bad", 0.0)):
            sign = -1 if objective is ERROR else 1
            finals = (sign * (better + rng.normal(0, 0.1, 8))).tolist()
            start = 60.0 if objective is ERROR else -60.0
            given += trials(arm, finals, task, start)
    report = judge(given, objectives, Rules(100.0))
    assert report.ranks is not None
    assert dict(zip(report.arms, report.ranks.ranks, strict=True)) == {
        "good": 1.0,
        "middle": 2.0,
        "bad": 3.0,
    }
    assert report.ranks.p < 0.01
    assert report.scores["good"] == pytest.approx(1.0)
    assert report.scores["bad"] == 0.0
    assert len(report.pairs) == 24
    assert all(": " in text for text in report.verdict[1:])


STUDIES = [100, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make judging cheap: p-values have no part in the bootstrap, and statsmodels collects."""
    monkeypatch.setattr(describe, "RESAMPLES", 50)
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("studies", STUDIES)
def test_the_same_against_itself_is_called_different_at_most_as_often_as_said(studies: int) -> None:
    """A/A: outcomes drawn from one pool, as skewed and tied as those of short runs."""
    rng = np.random.default_rng(11)
    pool = np.concatenate([np.full(12, 5.33), rng.gamma(2.0, 1.0, 28)])
    false_alarms = 0
    for _ in range(studies):
        drawn = dict(zip("abc", rng.choice(pool, size=(3, 10)).tolist(), strict=True))
        false_alarms += any(pair.shown for pair in study(drawn).pairs)
    # Any of three claims, at 0.05 together: three standard errors above, and not dead.
    assert 1 <= false_alarms <= 0.05 * studies + 3 * np.sqrt(studies * 0.05 * 0.95)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("studies", STUDIES)
def test_a_single_comparison_rejects_at_its_nominal_rate(studies: int) -> None:
    """A/A without ties: the signed-rank test of 10 pairs at 0.05 rejects in 0.0488 of cases."""
    rng = np.random.default_rng(12)
    false_alarms = 0
    for a, b in rng.gamma(2.0, 1.0, (studies, 2, 10)):
        false_alarms += study({"a": a.tolist(), "b": b.tolist()}).pairs[0].shown
    error = 3 * np.sqrt(0.0488 * 0.9512 / studies)
    assert abs(false_alarms / studies - 0.0488) <= error
    assert false_alarms
