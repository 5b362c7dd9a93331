"""Races for a cell: who enters, who is measured, and that nothing else has a say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evolve.archive.base import fold
from evolve.archive.cells import CellArchive
from evolve.archive.contests import Comparison, Need, Reading, Rules, Verdict
from evolve.archive.grid import GridArchive
from evolve.archive.racing import Beliefs
from evolve.core.estimates import estimate
from evolve.core.measures import Measure
from evolve.store.records import ArchiveEvent

X = Measure("x", 0.0, 1.0, 5)
PLACE = {"x": 0.5}


class Laboratory:
    """Programs with a true value each, measured when a race asks for it."""

    def __init__(self, rules: Rules, noise: float, seed: int = 0, drift: float = 0.0) -> None:
        self.archive: CellArchive = GridArchive([X])
        self.truth: dict[int, float] = {}
        self.readings: dict[int, list[Reading]] = defaultdict(list)
        self.beliefs = Beliefs(rules, self.look_up)
        self.rules, self.noise, self.seed, self.drift, self.measured = rules, noise, seed, drift, 0
        self.events: list[ArchiveEvent] = []

    def look_up(self, key: int, first: int) -> list[Reading]:
        return self.readings[key][first:]

    def sample(self, key: int, repeat: int) -> float:
        own = float(np.random.default_rng([self.seed, key, repeat]).normal(0, self.noise))
        shared = float(np.random.default_rng([self.seed, repeat]).normal(0, 10 * self.noise))
        return self.truth[key] + own + (shared if self.rules.paired else 0.0)

    def measure(self, key: int, repeat: int, against: int | None = None) -> None:
        assert repeat == len(self.readings[key])
        drift = 1.0 + self.drift * self.measured
        reference = None if against is None else drift * self.sample(against, 1000 + repeat)
        self.readings[key].append(Reading(drift * self.sample(key, repeat), against, reference))
        self.measured += 1

    def offer(
        self, key: int, truth: float, place: float = 0.5, *, refresh: bool = False
    ) -> Verdict:
        self.truth[key] = truth
        for repeat in range(self.rules.repeats):
            self.measure(key, repeat)
        verdict = self.judge(key, place, refresh=refresh, order=lambda wanted: wanted)
        self.beliefs.tell(
            estimate([r.value or 0.0 for r in self.readings[key][: self.rules.repeats]])
        )
        for each in verdict.measured:
            self.archive.revise(each.key, each.fitness)
            self.beliefs.known[each.key] = each.samples
            self.events.append(ArchiveEvent(each.key, 0, 0, "measured", each.fitness, {}))
        if verdict.enters:
            self.archive.add(key, verdict.fitness, {"x": place})
            self.beliefs.known[key] = verdict.samples
            self.events.append(ArchiveEvent(key, 0, 0, "new", verdict.fitness, {"x": place}))
        return verdict

    def judge(
        self,
        key: int,
        place: float,
        *,
        refresh: bool,
        order: Callable[
            [Sequence[tuple[int, int, int | None]]], Sequence[tuple[int, int, int | None]]
        ],
    ) -> Verdict:
        while True:
            step = self.beliefs.judge(key, {"x": place}, self.archive, refresh=refresh)
            if isinstance(step, Verdict):
                return step
            for wanted in order(step.samples):
                self.measure(*wanted)


def test_an_empty_cell_takes_whoever_comes() -> None:
    lab = Laboratory(Rules(repeats=2, most=8), noise=1.0)
    verdict = lab.offer(1, 5.0)
    assert verdict.enters
    assert (verdict.samples, verdict.measured, lab.measured) == (2, (), 2)


def test_who_is_clearly_worse_costs_its_first_samples_only() -> None:
    lab = Laboratory(Rules(repeats=3, most=12), noise=0.1)
    lab.offer(1, 5.0)
    before = lab.measured
    verdict = lab.offer(2, 1.0)
    assert not verdict.enters
    assert lab.measured == before + 3


def test_an_elite_is_measured_again_before_it_is_replaced() -> None:
    lab = Laboratory(Rules(repeats=3, most=12), noise=0.1)
    lab.offer(1, 5.0)
    verdict = lab.offer(2, 9.0)
    assert verdict.enters
    assert [each.key for each in verdict.measured] == [1]
    assert verdict.measured[0].samples > 3
    assert lab.archive.best is not None
    assert lab.archive.best.key == 2


def test_equals_are_measured_until_the_budget_is_spent() -> None:
    lab = Laboratory(Rules(repeats=3, most=9, confidence=0.999, give_up=0.001), noise=1.0)
    lab.offer(1, 5.0)
    lab.offer(2, 5.0)
    assert len(lab.readings[1]) == len(lab.readings[2]) == 9


def test_a_lucky_elite_falls_when_it_is_measured_again() -> None:
    lab = Laboratory(Rules(repeats=1, most=10, shrink=False), noise=1.0)
    lab.truth[1] = 0.0
    lab.readings[1].append(Reading(4.0))  # the luck of one sample
    lab.archive.add(1, 4.0, PLACE)
    lab.beliefs.known[1] = 1
    for key in range(2, 8):
        lab.offer(key, -3.0, place=0.1, refresh=True)
    best = lab.archive.best
    assert best is not None
    assert lab.beliefs.known[1] == 7
    assert best.fitness < 1.5


def test_without_a_budget_for_more_there_is_no_race() -> None:
    lab = Laboratory(Rules(repeats=4, most=4, shrink=False, refresh=0), noise=1.0)
    lab.offer(1, 5.0)
    verdict = lab.offer(2, 5.3)
    values = [[each.value or 0.0 for each in lab.readings[key]] for key in (1, 2)]
    assert verdict.enters == (estimate(values[1]).mean > estimate(values[0]).mean)
    assert lab.measured == 8


def test_a_program_that_fails_a_repeat_stays_out() -> None:
    lab = Laboratory(Rules(repeats=2, most=8), noise=0.1)
    lab.offer(1, 5.0)
    lab.readings[2] = [Reading(9.0), Reading(None)]
    lab.truth[2] = 9.0
    assert not lab.judge(2, 0.5, refresh=False, order=lambda wanted: wanted).enters


@pytest.mark.parametrize("compare", ["lcb", "probability"])
def test_a_stricter_rule_lets_fewer_equals_in(compare: Comparison) -> None:
    def entered(rules: Rules) -> int:
        count = 0
        for seed in range(60):
            lab = Laboratory(rules, noise=1.0, seed=seed)
            lab.offer(1, 5.0)
            count += lab.offer(2, 5.0).enters
        return count

    mean = Rules(repeats=5, most=5, refresh=0, shrink=False)
    assert 20 < entered(mean) < 40
    if compare == "probability":
        assert entered(replace(mean, compare=compare)) < 10
    else:  # equals have equal bounds: who varies less wins
        lab = Laboratory(replace(mean, compare="lcb"), noise=1.0)
        lab.offer(1, 5.0)
        best = lab.archive.best
        assert best is not None
        assert best.fitness < estimate([r.value or 0.0 for r in lab.readings[1]]).mean


def test_shared_chance_cancels_in_pairs() -> None:
    paired = Laboratory(Rules(repeats=4, most=8, paired=True, shrink=False), noise=0.1)
    paired.offer(1, 5.0)
    verdict = paired.offer(2, 6.0)  # the noise they share is as large as the difference
    assert verdict.enters
    assert verdict.fitness - verdict.measured[0].fitness == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(("truth", "drift"), [(-8.0, 0.05), (-12.0, -0.02)])
def test_a_drifting_clock_cancels_side_by_side(truth: float, drift: float) -> None:
    lab = Laboratory(Rules(repeats=1, most=8, timed=True), noise=0.01, drift=drift)
    lab.offer(1, -10.0)  # seconds, negated
    lab.measured += 20  # meanwhile the machine has become slower, or faster
    verdict = lab.offer(2, truth)
    alone = [lab.readings[key][0].value or 0.0 for key in (1, 2)]
    assert (alone[1] > alone[0]) != (truth > -10.0)  # at two moments the wrong one is faster
    assert verdict.enters == (truth > -10.0)
    assert all(each.against == 1 for each in lab.readings[2][1:])


def test_the_verdict_does_not_depend_on_the_order_in_which_samples_arrive() -> None:
    def run(shuffle: np.random.Generator) -> list[Verdict]:
        lab = Laboratory(Rules(repeats=2, most=10), noise=1.0, seed=8)
        verdicts = []
        for key in range(25):
            lab.truth[key] = 0.1 * key
            for repeat in range(2):
                lab.measure(key, repeat)
            if shuffle.random() < 0.5:  # somebody else asked for a sample before
                lab.measure(key, len(lab.readings[key]))

            def order(
                wanted: Sequence[tuple[int, int, int | None]],
            ) -> list[tuple[int, int, int | None]]:
                keys = sorted({each[0] for each in wanted}, key=lambda _: shuffle.random())
                return [each for key in keys for each in wanted if each[0] == key]

            verdict = lab.judge(key, 0.5, refresh=key % 3 == 0, order=order)
            for each in verdict.measured:
                lab.archive.revise(each.key, each.fitness)
                lab.beliefs.known[each.key] = each.samples
            if verdict.enters:
                lab.archive.add(key, verdict.fitness, PLACE)
                lab.beliefs.known[key] = verdict.samples
            verdicts.append(verdict)
        return verdicts

    first = run(np.random.default_rng(1))
    assert any(each.measured for each in first)
    assert all(run(np.random.default_rng(seed)) == first for seed in range(2, 6))


def test_the_archive_is_the_fold_of_its_events() -> None:
    lab = Laboratory(Rules(repeats=2, most=6), noise=1.0, seed=2)
    for key in range(60):
        lab.offer(key, key / 20, place=(key * 37 % 100) / 100, refresh=key % 2 == 0)
    assert sum(event.status == "measured" for event in lab.events) > 10
    again = GridArchive([X])
    fold(again, lab.events)
    assert again.elites() == lab.archive.elites()


def test_who_is_no_elite_any_more_is_forgotten() -> None:
    lab = Laboratory(Rules(repeats=1, most=2), noise=0.1)
    for key in range(150):
        lab.offer(key, float(key))
        lab.beliefs.keep({elite.key for elite in lab.archive.elites()})
    assert len(lab.beliefs.known) < 110


def test_a_revised_elite_is_ranked_anew() -> None:
    archive = GridArchive([X], depth=2)
    for key, (fitness, place) in enumerate([(1.0, 0.1), (2.0, 0.1), (3.0, 0.9)]):
        archive.add(key, fitness, {"x": place})
    archive.revise(0, 5.0)
    assert [elite.key for elite in archive.elites()] == [0, 2, 1]
    assert [elite.key for elite in archive.champions()] == [0, 2]
    assert [elite.key for elite in archive.occupants(0)] == [0, 1]
    rival = archive.rival({"x": 0.1})
    assert rival is not None
    assert rival.key == 1
    assert archive.rival({"x": 0.9}) is None
    archive.revise(99, 1.0)
    with pytest.raises(ValueError, match="finite"):
        archive.revise(0, float("nan"))


def test_a_need_names_what_is_missing() -> None:
    beliefs = Beliefs(Rules(repeats=1, most=3), lambda key, _: [Reading(float(key))])
    archive = GridArchive([X])
    archive.add(1, 1.0, PLACE)
    step = beliefs.judge(2, PLACE, archive, refresh=False)
    assert isinstance(step, Need)
    assert {(each.key, each.repeat) for each in step.samples} == {(1, 1), (2, 1)}
