"""Islands in a search: what is stored brings all of them back, and tables and views agree."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from evolve.archive.islands import Plan
from evolve.archive.selection import SELECTORS
from evolve.core.errors import StoreError
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.engine.population import Chosen, Policy, Population
from evolve.propose.base import Rejected
from evolve.view.report import archive_of, islands
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, better, number_in, scored

pytestmark = pytest.mark.anyio

EVENTFUL = Plan(
    count=4,
    allocation="ucb",
    migration_interval=6,
    migrants=2,
    reset_interval=20,
    spawn_stagnation=5,
    spawn_limit=6,
)


def judge(program: Program) -> Evaluation:
    """Score every fourth program not at all and the others as far as they go, in steps."""
    number = number_in(program)
    if number % 4 == 1:
        return Evaluation(Outcome.EXIT, evaluator=FakeEvaluate.version, message="no")
    return scored(program)


def _chosen(population: Population, iteration: int) -> tuple[int, Chosen]:
    rng = np.random.default_rng(iteration)
    island = population.turn(iteration, rng)
    return island, population.choose(island, rng)


async def searched(lab: Laboratory, kind: str) -> None:
    lab.policy = Policy(SELECTORS[kind](), inspirations=2, islands=EVENTFUL)
    lab.journal = lab.new_journal()
    lab.evaluate.judge = judge
    lab.proposer.make = lambda context, count: (
        Rejected("syntax", "no") if count % 5 == 0 else better(context, count)
    )
    await lab.search(evaluations=70)


@pytest.mark.parametrize("kind", ["adaptive", "clusters", "puct", "sequential"])
async def test_a_resumed_run_has_the_islands_and_the_census_it_had(
    lab: Laboratory, kind: str
) -> None:
    await searched(lab, kind)
    before = lab.journal.population
    assert len(before.islands.live) >= 4
    assert min(before.islands.live) > 0 or len(set(before.census.islands)) > 4, "nothing happened"
    journal = lab.new_journal()
    journal.restore(lab.evaluate.version)
    after = journal.population
    assert after.census == before.census
    assert after.archive.elites() == before.archive.elites()
    assert {n: each.elites() for n, each in after.islands.live.items()} == {
        n: each.elites() for n, each in before.islands.live.items()
    }
    for iteration in range(1000, 1020):
        one, two = (_chosen(each, iteration) for each in (before, after))
        assert one == two
    await lab.resume(evaluations=90)
    assert lab.evaluations() == lab.journal.population.census.evaluations == 90


async def test_tables_and_views_know_the_islands(lab: Laboratory, tmp_path: Path) -> None:
    await searched(lab, "adaptive")
    live = lab.journal.population.islands.live
    held = {
        (number, elite.cell): elite.key for number, archive in live.items() for elite in archive
    }
    stored = {(e.island, e.cell): e.program_id for e in lab.store.elites(lab.run_id)}
    assert stored == held
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as connection:
        rows = connection.execute("SELECT island, cell, program FROM elites").fetchall()
    assert {(island, cell): program for island, cell, program in rows} == held

    record = lab.store.run(lab.run_id)
    listed = islands(lab.store, record)
    assert [row.island for row in listed if not row.retired] == list(live)
    assert any(row.retired for row in listed)
    assert sum(row.evaluations for row in listed) == 70
    for row in listed:
        archive = archive_of(lab.store, record, island=row.island)
        assert row.elites == len(archive)
        if row.island in live:
            assert archive.elites() == live[row.island].elites()
    assert archive_of(lab.store, record).elites() == lab.journal.population.archive.elites()
    with pytest.raises(StoreError, match=r"has no island 99; there are: 0, 1"):
        archive_of(lab.store, record, island=99)


async def test_events_of_an_evaluation_are_committed_with_it(lab: Laboratory) -> None:
    await searched(lab, "mixed")
    facts = list(lab.store.facts(lab.run_id, lab.evaluate.version))
    events = [event for fact in facts for event in fact.events]
    assert tuple(events) == lab.store.archive_events(lab.run_id)
    assert len({event.island for event in facts[0].events}) == 4, "the seed program is everywhere"
    moved = [
        event for fact in facts for event in fact.events if event.program_id != fact.program_id
    ]
    assert moved, "nothing ever moved"
    evaluated = {fact.program_id for fact in facts}
    assert {event.program_id for event in moved} <= evaluated, "migrants keep their number"
