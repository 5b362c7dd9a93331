"""Samples of noisy scores in the store, and elites that were measured again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.core.estimates import Estimate, estimate
from evolve.core.evaluation import Outcome, Sample
from evolve.store.reader import open_reader
from evolve.store.records import ArchiveEvent
from evolve.store.store import Store
from tests.store.samples import EVALUATOR, failed, program, scored


def add(store: Store, run_id: int, number: int) -> int:
    return store.add_program(run_id, program(number), operator="seed").id


def test_the_first_sample_comes_back_whole_and_further_ones_with_their_numbers(
    store: Store, run_id: int
) -> None:
    number = add(store, run_id, 1)
    first, second = scored(1.5, signature="s" * 64), scored(2.5)
    store.add_sample(number, Sample(0, first), 1.0)
    store.add_sample(number, Sample(1, second, against=number, reference=4.0), 2.0)
    store.add_sample(number, Sample(2, failed()), 3.0)
    found = store.samples(number, "search", EVALUATOR)
    assert found[0] == Sample(0, first)
    assert (found[1].objective, found[1].against, found[1].reference) == (2.5, number, 4.0)
    assert found[2].evaluation.outcome is Outcome.EXCEPTION
    assert found[2].objective is None
    assert store.samples(number, "held_out", EVALUATOR) == ()
    assert store.samples(number, "search", "other") == ()


def test_a_repeat_stays_as_it_was_measured_first(store: Store, run_id: int) -> None:
    number = add(store, run_id, 1)
    first = scored()
    assert first.score is not None
    other = replace(first, score=replace(first.score, objective=first.score.objective + 1))
    store.add_sample(number, Sample(0, first), 1.0)
    store.add_sample(number, Sample(0, other), 2.0)
    (kept,) = store.samples(number, "search", EVALUATOR)
    assert kept.objective == first.score.objective


def test_what_lies_beyond_a_gap_is_not_used_yet(store: Store, run_id: int) -> None:
    number = add(store, run_id, 1)
    for repeat in (0, 1, 3):
        store.add_sample(number, Sample(repeat, scored()), 1.0)
    assert [each.repeat for each in store.samples(number, "search", EVALUATOR)] == [0, 1]


def test_estimates_pool_all_samples(store: Store, run_id: int, url: str) -> None:
    number, other = add(store, run_id, 1), add(store, run_id, 2)
    values = [1e6 + 0.25, 1e6 + 0.5, 1e6 + 1.75]
    for repeat, value in enumerate(values):
        store.add_sample(number, Sample(repeat, scored(value)), 1.0)
    store.add_sample(number, Sample(3, failed()), 1.0)
    store.add_sample(other, Sample(0, scored(7.0)), 1.0)
    assert store.estimates(run_id) == {number: estimate(values), other: Estimate(7.0, None, 1)}
    with open_reader(url) as reader, reader._database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT program, samples, failed, mean, error FROM estimates ORDER BY program"
        ).all()
    assert rows[0][:3] == (number, 3, 1)
    assert rows[0][3:] == pytest.approx(estimate(values)[:2])
    assert rows[1] == (other, 1, 0, 7.0, None)


def test_an_evaluation_says_how_many_samples_it_is_the_mean_of(store: Store, run_id: int) -> None:
    number = add(store, run_id, 1)
    store.commit_evaluation(number, replace(scored(), samples=3, error=0.25), [])
    found = store.evaluation_of(number, "search", EVALUATOR)
    assert found is not None
    assert found.estimate == Estimate(1.5, 0.25, 3)
    fact = next(iter(store.facts(run_id, EVALUATOR)))
    assert fact.estimate == Estimate(1.5, 0.25, 3)


def test_a_measured_elite_has_its_new_fitness_everywhere(
    store: Store, run_id: int, url: str
) -> None:
    first, second = add(store, run_id, 1), add(store, run_id, 2)
    at = {"length": 12.0, "depth": 0.25}
    new = ArchiveEvent(first, 0, 4, "new", -1.5, at, samples=3)
    again = ArchiveEvent(first, 0, 4, "measured", -1.75, at, samples=5)
    elsewhere = ArchiveEvent(first, 1, 4, "measured", -9.0, at, samples=5)
    store.commit_evaluation(first, scored(), [new])
    store.commit_evaluation(second, scored(3.0), [again, elsewhere])
    assert store.archive_events(run_id) == (new, again, elsewhere)
    assert [(e.program_id, e.fitness, e.objective) for e in store.elites(run_id)] == [
        (first, -1.75, 1.75)
    ]
    with open_reader(url) as reader, reader._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT program, cell, objective FROM elites").all()
    assert rows == [(first, 4, 1.75)]
