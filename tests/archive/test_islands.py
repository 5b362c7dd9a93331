"""Routes, migration, reset and spawning between islands."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from evolve.archive.base import Archive, Elite
from evolve.archive.census import Census, IslandCensus
from evolve.archive.grid import GridArchive
from evolve.archive.islands import Change, Islands, Offer, Plan, Topology, routes
from evolve.core.measures import Measure


def strip() -> Archive:
    return GridArchive([Measure("x", 0.0, 10.0, 10)])


def offer(key: int, fitness: float, x: float = 0.5) -> Offer:
    return Offer(key, fitness, {"x": x})


def recall(elite: Elite) -> Offer:
    return Offer(elite.key, elite.fitness, {"x": elite.measures[0]})


def peopled(plan: Plan) -> Islands:
    """Return islands in which island ``n`` holds program ``n`` of fitness ``n`` in cell ``n``."""
    islands = Islands(strip, plan)
    for number in range(plan.count):
        islands.offer(number, offer(number, float(number), number + 0.5))
    return islands


def after(islands: Islands, census: Census, island: int = 0, seed: int = 0) -> list[Change]:
    return islands.upheaval(island, census, np.random.default_rng(seed), recall)


def keys(islands: Islands) -> dict[int, set[int]]:
    return {n: {elite.key for elite in archive} for n, archive in islands.live.items()}


@pytest.mark.parametrize(
    ("topology", "pairs"),
    [
        ("ring", {(2, 5), (5, 7), (7, 2)}),
        ("star", {(2, 5), (2, 7), (5, 2), (7, 2)}),
        ("full", {(2, 5), (2, 7), (5, 2), (5, 7), (7, 2), (7, 5)}),
    ],
)
def test_routes_of_a_topology(topology: Topology, pairs: set[tuple[int, int]]) -> None:
    assert set(routes(topology, [2, 5, 7], np.random.default_rng(0))) == pairs
    assert routes(topology, [4], np.random.default_rng(0)) == []


def test_random_routes_lead_from_everyone_to_someone_else() -> None:
    rng = np.random.default_rng(0)
    seen = Counter(pair for _ in range(600) for pair in routes("random", [2, 5, 7], rng))
    assert len(seen) == 6
    assert all(abs(count - 300) < 60 for count in seen.values())


def test_migration_copies_the_fittest_along_every_route_at_its_interval() -> None:
    islands = peopled(Plan(count=3, migration_interval=10))
    assert after(islands, Census(evaluations=9)) == []
    changes = after(islands, Census(evaluations=10))
    assert keys(islands) == {0: {0, 2}, 1: {1, 0}, 2: {2, 1}}, "each gave and kept its own"
    assert [(change.island, change.offer.key) for change in changes] == [(1, 0), (2, 1), (0, 2)]
    assert after(islands, Census(evaluations=10)) != [], "what came now goes on"
    assert len(islands.everything) == 3


def test_an_island_that_stagnates_receives_and_no_other() -> None:
    islands = peopled(Plan(count=3, migration_stagnation=5, topology="full", migrants=3))
    census = Census(evaluations=33, islands={1: IslandCensus(since_best=5)})
    assert after(islands, census, island=0) == []
    assert {change.island for change in after(islands, census, island=1)} == {1}
    assert keys(islands) == {0: {0}, 1: {0, 1, 2}, 2: {2}}


def test_a_reset_founds_new_islands_from_survivors_in_place_of_the_worst() -> None:
    founders = Counter[int]()
    for seed in range(40):
        islands = peopled(Plan(count=5, reset_interval=10))
        changes = after(islands, Census(evaluations=20), seed=seed)
        assert list(islands.live) == [2, 3, 4, 5, 6], "the worst two of five are gone"
        retired = [change.island for change in changes if change.added is None]
        assert sorted(retired) == [0, 1]
        for number in (5, 6):
            (founder,) = islands.live[number].elites()
            founders[founder.key] += 1
        assert len(islands.everything) == 5, "nothing is forgotten"
    assert set(founders) == {2, 3, 4}


def test_equals_are_reset_by_chance_and_one_island_always_stays() -> None:
    gone = Counter[int]()
    for seed in range(60):
        islands = Islands(strip, Plan(count=2, reset_interval=1, reset_fraction=0.9))
        for number in (0, 1):
            islands.offer(number, offer(7, 1.0))
        after(islands, Census(evaluations=1), seed=seed)
        gone.update({0, 1} - islands.live.keys())
    assert sum(gone.values()) == 60
    assert min(gone[0], gone[1]) > 15


def test_what_was_proposed_for_an_island_that_is_gone_belongs_to_the_best_one() -> None:
    islands = peopled(Plan(count=4, reset_interval=1))
    assert islands.home(0) == 0
    after(islands, Census(evaluations=1))
    assert islands.home(0) == 3


def test_islands_appear_on_stagnation_up_to_a_limit() -> None:
    islands = peopled(Plan(count=2, spawn_stagnation=7, spawn_limit=3))
    assert after(islands, Census(evaluations=9, since_best=6)) == []
    after(islands, Census(evaluations=10, since_best=7))
    assert list(islands.live) == [0, 1, 2]
    assert len(islands.live[2]) == 1
    assert after(islands, Census(evaluations=17, since_best=14)) == []


def test_turns_are_even_random_or_where_evaluations_gain() -> None:
    rng = np.random.default_rng(0)
    census = Census()
    even = peopled(Plan(count=3))
    assert [even.turn(i, census, rng) for i in range(5)] == [0, 1, 2, 0, 1]
    chance = peopled(Plan(count=3, allocation="random"))
    drawn = Counter(chance.turn(i, census, rng) for i in range(900))
    assert all(abs(drawn[number] - 300) < 60 for number in range(3))
    ucb = peopled(Plan(count=3, allocation="ucb"))
    assert ucb.turn(0, census, rng) == 0
    taken = Counter[int]()
    for _ in range(600):
        number = ucb.turn(0, census, rng)
        taken[number] += 1
        census.island(number).gained(0.01 if number == 1 else 0.0)
    assert taken[1] > 400
    assert min(taken.values()) >= 8, "none is given up"


def test_seeds_go_everywhere_and_are_alike_however_often_they_are_offered() -> None:
    islands = Islands(strip, Plan(count=3))
    changes = islands.send((number, offer(1, 1.0)) for number in islands.live)
    assert [change.island for change in changes] == [0, 1, 2]
    assert islands.send([(0, offer(1, 1.0))]) == []
