"""The turn of an epoch: who is measured, what elites are worth then, and who enters."""

from __future__ import annotations

import math
from itertools import count, takewhile

import pytest

from evolve.archive.contests import Measured, Need, Reading, Rules, Verdict, Wanted
from evolve.archive.grid import GridArchive
from evolve.archive.racing import Beliefs
from evolve.core.measures import Measure

EVERY = 10
ONCE = Rules(repeats=1, most=1, shrink=False, refresh=0, rotate=EVERY)
HERE, THERE = {"x": 0.1}, {"x": 0.9}


class Bench:
    """Programs whose iteration is their key, with the scores they are told to have on each set."""

    def __init__(self, rules: Rules = ONCE, depth: int = 1, worst: float = -100.0) -> None:
        self.archive = GridArchive([Measure("x", 0.0, 1.0, 2)], depth=depth)
        self.scores: dict[int, dict[int, float | None]] = {}
        self.beliefs = Beliefs(rules, self.look_up, iteration=lambda key: key, worst=worst)

    def look_up(self, key: int, first: int) -> list[Reading]:
        known = self.scores.get(key, {})
        return [Reading(known[repeat]) for repeat in takewhile(known.__contains__, count(first))]

    def judge(self, key: int, place: dict[str, float] = HERE) -> Need | Verdict:
        return self.beliefs.judge(
            key, place, self.archive, refresh=False, everyone=self.archive.elites()
        )

    def offer(self, key: int, *scores: float | None, place: dict[str, float] = HERE) -> Verdict:
        """Have a program judged whose scores begin with the set of its epoch, and take it in."""
        self.scores[key] = dict(enumerate(scores, start=key // EVERY))
        verdict = self.judge(key, place)
        assert isinstance(verdict, Verdict)
        for each in verdict.measured:
            self.archive.revise(each.key, each.fitness)
            self.beliefs.known[each.key] = each.samples
        if verdict.enters:
            self.archive.add(key, verdict.fitness, place)
        return verdict

    def fitness(self) -> dict[int, float]:
        return {elite.key: elite.fitness for elite in self.archive.elites()}


def test_all_elites_are_measured_before_anything_is_compared() -> None:
    bench = Bench()
    bench.offer(1, 5.0)
    bench.offer(2, 6.0, place=THERE)
    bench.scores[11] = {1: 3.0}
    asked = bench.judge(11)
    assert isinstance(asked, Need)
    assert sorted(asked.samples) == [Wanted(1, 1), Wanted(2, 1)]
    assert bench.beliefs.epoch == 0, "not before all of them are"
    bench.scores[1][1] = 2.0
    assert bench.judge(11) == Need((Wanted(2, 1),))
    bench.scores[2][1] = 9.0
    verdict = bench.judge(11)
    assert isinstance(verdict, Verdict)
    assert verdict.enters
    assert verdict.epoch == bench.beliefs.epoch == 1
    assert sorted(verdict.measured) == [Measured(1, 2.0, 1), Measured(2, 9.0, 1)]


def test_scores_of_earlier_sets_decide_nothing() -> None:
    bench = Bench()
    bench.offer(1, 100.0, 1.0)
    assert bench.offer(12, 2.0).enters
    assert bench.fitness() == {12: 2.0}
    assert not bench.offer(13, 1.5).enters


def test_a_latecomer_is_measured_on_the_newest_set() -> None:
    bench = Bench()
    bench.offer(1, 1.0, 1.0)
    bench.offer(12, 2.0)
    bench.scores[3] = {0: 50.0}
    assert bench.judge(3) == Need((Wanted(3, 1),))
    bench.scores[3][1] = 1.5
    verdict = bench.judge(3)
    assert isinstance(verdict, Verdict)
    assert not verdict.enters
    assert verdict.epoch is None, "no turn"


def test_a_latecomer_that_fails_on_the_newest_set_does_not_enter() -> None:
    bench = Bench()
    bench.offer(1, 1.0, 1.0)
    bench.offer(12, 2.0)
    bench.scores[3] = {0: 50.0, 1: None}
    verdict = bench.judge(3, THERE)
    assert isinstance(verdict, Verdict)
    assert not verdict.enters


@pytest.mark.parametrize(("worst", "rank"), [(-100.0, -100.0), (0.0, -7.0)])
def test_elites_that_fail_rank_behind_all(worst: float, rank: float) -> None:
    bench = Bench(worst=worst)
    bench.offer(1, 5.0, None)
    bench.offer(2, 6.0, -7.0, place=THERE)
    bench.offer(12, -9.0, place=THERE)
    assert bench.fitness() == {2: -7.0, 1: rank}


def test_whoever_has_a_score_takes_the_cell_of_an_elite_that_fails() -> None:
    bench = Bench(worst=0.0)
    bench.offer(1, 5.0, None)
    verdict = bench.offer(12, -9.0)
    assert verdict.enters
    assert bench.fitness() == {12: -9.0}


def test_in_a_deep_cell_the_worst_on_the_newest_set_is_the_rival() -> None:
    bench = Bench(depth=2)
    bench.offer(1, 9.0, 1.0)
    bench.offer(2, 4.0, 8.0)
    assert bench.offer(12, 3.0).enters
    assert bench.fitness() == {2: 8.0, 12: 3.0}


def test_sets_that_nobody_was_judged_on_are_skipped() -> None:
    bench = Bench()
    bench.offer(1, 5.0)
    bench.scores[1][4] = 2.0
    verdict = bench.offer(47, 1.0)
    assert verdict.epoch == 4
    assert bench.fitness() == {1: 2.0}


def test_with_noise_an_epoch_has_repeats_of_its_own() -> None:
    bench = Bench(Rules(repeats=2, most=4, shrink=False, refresh=0, rotate=EVERY, give_up=0.0))
    bench.scores[1] = {0: 5.0, 1: 5.2}
    first = bench.judge(1)
    assert isinstance(first, Verdict)
    bench.archive.add(1, first.fitness, HERE)
    bench.scores[12] = {4: 1.0, 5: 1.1}
    asked = bench.judge(12)
    assert asked == Need((Wanted(1, 4), Wanted(1, 5)))
    bench.scores[1] |= {4: 1.05, 5: 0.95}
    asked = bench.judge(12)
    assert isinstance(asked, Need)
    assert {each.repeat for each in asked.samples} == {6}, "the race goes on within the epoch"
    assert bench.beliefs.epoch == 0


def test_the_epoch_follows_from_what_was_inserted() -> None:
    beliefs = Bench().beliefs
    for iteration in (None, 3, 27, 14):
        beliefs.reached(iteration)
    assert beliefs.epoch == 2
    still = Beliefs(Rules(), lambda *_: [], worst=math.inf)
    still.reached(1000)
    assert still.epoch == 0
