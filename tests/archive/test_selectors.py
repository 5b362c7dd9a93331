"""What each selector prefers, on archives and censuses small enough to work out by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.archive.census import AT_LEAST, FITTEST, Census, IslandCensus
from evolve.archive.grid import GridArchive
from evolve.archive.selection import SELECTORS, Mix, Profile, Selector, State, inspirations
from evolve.archive.selection.adaptive import adaptive
from evolve.archive.selection.base import standardized
from evolve.archive.selection.cases import clusters, pareto
from evolve.archive.selection.plain import best_of_n, greedy, sequential
from evolve.archive.selection.puct import puct
from evolve.archive.selection.weighted import annealed, curiosity, novelty, weighted
from evolve.core.measures import Measure


def archive_of(fitness: list[float]) -> GridArchive:
    """Return a strip in which program ``i`` sits in cell ``i``."""
    archive = GridArchive([Measure("x", 0.0, 100.0, 100)])
    for key, value in enumerate(fitness):
        archive.add(key, value, {"x": key + 0.5})
    return archive


def shares(selector: Selector, state: State, draws: int = 4000) -> list[float]:
    """Return how often each program is chosen, by key."""
    rng = np.random.default_rng(3)
    counts = Counter(selector(state, rng) for _ in range(draws))
    return [counts[key] / draws for key in range(len(state.archive))]


THREE = [1.0, 2.0, 3.0]


def test_softmax_cools_down_to_the_best() -> None:
    archive = archive_of(THREE)
    selector = annealed(temperature=2.0, final=0.01, evaluations=100)
    weights = np.exp(np.array([-1.0, 0.0, 1.0]) / 2.0)
    warm = shares(selector, State(archive))
    assert warm == pytest.approx(weights / weights.sum(), abs=0.03)
    assert shares(selector, State(archive, Census(evaluations=100)))[2] == 1.0
    between = shares(selector, State(archive, Census(evaluations=50)))[2]
    assert warm[2] < between < 1.0


def test_standardized_fitness_has_neither_unit_nor_zero() -> None:
    values = np.array([1.0, 5.0, 2.0, 9.0, 4.0])
    assert standardized(values) == pytest.approx(standardized(3e6 * values - 1e7))
    assert standardized([7.0, 7.0]).tolist() == [0.0, 0.0]
    assert standardized([0.0, 0.0, 0.0, 4.0]).tolist() == pytest.approx([0, 0, 0, 4.0])


def test_curiosity_follows_parents_whose_children_got_in() -> None:
    census = Census(seed=(0, 1.0), best=1.0)
    for entered in (True, True, False):
        census.evaluated(9, 1, 0, 0.5, entered=entered)
    census.evaluated(9, 2, 0, 0.5, entered=False)
    assert census.curiosity == {1: 1.5, 2: 0.0}
    seen = shares(curiosity(floor=0.25), State(archive_of(THREE), census))
    assert seen == pytest.approx([0.25 / 2.25, 1.75 / 2.25, 0.25 / 2.25], abs=0.03)


def test_novelty_counts_children_and_proposals_under_way() -> None:
    state = State(archive_of(THREE), Census(offspring={0: 3}), busy={1: 1})
    weights = np.array([1 / 4, 1 / 2, 1.0]) ** 2
    assert shares(novelty(), state) == pytest.approx(weights / weights.sum(), abs=0.03)


def test_weighted_is_fitness_times_novelty() -> None:
    state = State(archive_of(THREE), Census(offspring={2: 1}))
    weights = np.array([1 / (1 + math.e), 0.5, math.e / (1 + math.e) / 2])
    assert shares(weighted(sharpness=1.0), state) == pytest.approx(
        weights / weights.sum(), abs=0.03
    )


def test_clusters_are_drawn_by_fitness_and_their_members_by_length() -> None:
    profiles = {
        0: Profile({"a": 1.0, "b": 1.0}, 100),
        1: Profile({"a": 2.0, "b": 2.0}, 100),
        2: Profile({"b": 2.0, "a": 2.0}, 50),
    }
    state = State(archive_of([1.0, 2.0, 2.0]), profile=profiles.__getitem__)
    seen = shares(clusters(temperature=1e9), state)
    long, short = math.exp(-0.5), 1.0
    expected = [0.5, 0.5 * long / (long + short), 0.5 * short / (long + short)]
    assert seen == pytest.approx(expected, abs=0.03)
    cold = Census(islands={0: IslandCensus(evaluations=999)})
    late = State(state.archive, cold, profile=profiles.__getitem__)
    assert shares(clusters(period=1000), late)[0] == 0.0


def test_pareto_takes_who_is_best_at_something_in_proportion_to_how_much() -> None:
    cases = [
        {"a": 1.0, "b": 1.0, "c": 1.0},
        {"a": 5.0, "b": 0.0, "c": 0.0},
        {"a": 4.0, "b": 3.0, "c": 3.0},
        {"a": 4.0, "b": 2.0, "c": 3.0},
    ]
    state = State(archive_of([1.0, 1.5, 3.0, 2.9]), profile=lambda key: Profile(cases[key]))
    assert shares(pareto(), state) == pytest.approx([0.0, 0.25, 0.5, 0.25], abs=0.03)
    assert min(shares(pareto(), State(archive_of(THREE)))) > 0.3


def test_puct_prefers_what_led_to_more_and_what_is_untried() -> None:
    archive, rng = archive_of(THREE), np.random.default_rng(0)
    fresh = State(archive)
    assert puct()(fresh, rng) == 2
    led = State(archive, Census(trials=9, best_child={0: 9.0}, offspring={0: 1}))
    assert puct(exploration=0.0)(led, rng) == 0
    # bounds by hand: 3 + 2 * sqrt(10) * (1/2) / 20, against 2 + 2 * sqrt(10) * (1/3)
    worn = State(archive, Census(trials=9, best_child={2: 3.0}, offspring={2: 19}))
    assert puct()(worn, rng) == 1
    assert puct(exploration=0.1)(worn, rng) == 2


def test_puct_passes_over_lineages_that_are_busy() -> None:
    rng = np.random.default_rng(0)
    census = Census(parent={2: 1, 1: 7})
    for busy in ({2: 1}, {1: 1}, {7: 1}):
        assert puct()(State(archive_of(THREE), census, busy=busy), rng) == 0
    assert puct()(State(archive_of(THREE), census, busy={0: 1}), rng) == 2
    assert puct()(State(archive_of(THREE), census, busy={0: 1, 2: 1}), rng) == 2, "all are"


def test_baselines_take_the_seed_program_the_newest_and_the_best() -> None:
    census, archive, rng = Census(), archive_of(THREE), np.random.default_rng(0)
    for key, fitness in ((0, 1.0), (2, 3.0), (40, 3.0), (41, 2.9), (42, None)):
        census.evaluated(key, None if key == 0 else 0, 0, fitness, entered=False)
    state = State(archive, census)
    assert best_of_n()(state, rng) == 0
    assert sequential()(state, rng) == 40, "equals are followed, worse ones are not"
    assert greedy()(state, rng) == 2


def stagnating(evaluations: int) -> Census:
    """Return a run that rose steadily so long and then stood still as long again."""
    census = Census()
    for step in range(2 * evaluations):
        fitness = float(min(step, evaluations))
        census.evaluated(step, max(step - 1, 0) if step else None, 0, fitness, entered=True)
    return census


def test_the_pace_is_about_one_while_a_run_gets_on_and_falls_when_it_is_stuck() -> None:
    steady = Census()
    for step in range(500):
        steady.evaluated(step, None, 0, 3.0 * step + 7, entered=True)
    assert 0.7 < steady.island(0).pace < 1.3
    assert stagnating(300).island(0).pace < 0.02
    assert IslandCensus().pace == 1.0
    assert IslandCensus(evaluations=AT_LEAST + 1, visits=40.0).pace == 0.0


def test_adaptive_climbs_while_it_gets_on_and_spreads_when_it_is_stuck() -> None:
    archive = archive_of(THREE)
    assert shares(adaptive(), State(archive))[2] == 1.0
    seen = shares(adaptive(explore=0.6), State(archive, stagnating(500)))
    assert seen[2] < 0.65
    assert seen[0] == pytest.approx(seen[1], abs=0.05)
    assert shares(adaptive(floor=0.9), State(archive))[2] < 0.5


def test_what_an_island_gains_counts_beside_what_the_run_gained() -> None:
    census = Census()
    census.evaluated(0, None, 0, 0.0, entered=True)
    census.settled(1, 99, 0.0)
    census.evaluated(1, 0, 0, 100.0, entered=True)
    assert census.island(0).reward == pytest.approx(1.0)
    census.evaluated(2, 0, 1, 5.0, entered=True)
    assert census.island(1).reward == pytest.approx(0.05)
    census.evaluated(3, 0, 1, None, entered=False)
    assert census.island(1).since_best == 1
    assert census.since_best == 2
    assert (census.offspring[0], census.best_child[0]) == (3, 100.0)


def test_descendants_are_counted_up_the_line_of_what_entered() -> None:
    census = Census()
    for key, parent, entered in ((1, None, True), (2, 1, True), (3, 2, False), (4, 2, True)):
        census.evaluated(key, parent, 0, 1.0, entered=entered)
    assert census.descendants() == {1: 3, 2: 2}
    assert census.parent == {2: 1, 4: 2}, "nothing is kept of what left no trace"
    census.tried(2)
    assert census.descendants() == {1: 4, 2: 3}
    assert (census.offspring[2], census.trials, census.evaluations) == (3, 4, 4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("softmax", {"temperature": 0.0}),
        ("softmax", {"evaluations": -1}),
        ("curiosity", {"floor": 0.0}),
        ("novelty", {"exponent": math.nan}),
        ("weighted", {"sharpness": math.inf}),
        ("clusters", {"period": 0}),
        ("clusters", {"among": -1}),
        ("pareto", {"among": FITTEST + 1}),
        ("puct", {"exploration": -1.0}),
        ("adaptive", {"explore": 1.5}),
        ("adaptive", {"floor": 0.95}),
        ("adaptive", {"pace": 0.0}),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SELECTORS[name](**options)


def test_a_mix_says_how_many_of_each_kind_are_shown() -> None:
    assert Mix().shares(3) == (2, 1, 0)
    assert Mix(1, 1, 1).shares(5) == (2, 2, 1)
    assert Mix(0, 0, 2).shares(4) == (0, 0, 4)
    for mix in ({"top": -1.0}, {"near": math.nan}, {"top": 0.0, "diverse": 0.0}):
        with pytest.raises(ValueError, match="must"):
            Mix(**mix)


def test_near_inspirations_are_the_parents_neighbours() -> None:
    archive = archive_of([float(key) for key in range(30)])
    parent = next(elite for elite in archive if elite.key == 10)
    rng = np.random.default_rng(0)
    shown = inspirations(archive, parent, 4, rng, Mix(top=0, diverse=0, near=1))
    assert sorted(elite.key for elite in shown) == [8, 9, 11, 12]
    mixed = inspirations(archive, parent, 3, rng, Mix(top=1, diverse=1, near=1))
    assert {elite.key for elite in mixed} > {29}
    assert {elite.key for elite in mixed} & {9, 11}


def test_pareto_and_clusters_may_choose_who_is_no_elite() -> None:
    """Program 9 is the best on a case, but not the best of its cell."""
    census = Census()
    for key, fitness in ((1, 1.0), (2, 2.0), (3, 3.0), (9, 2.5)):
        census.evaluated(key, None, 0, fitness, entered=key != 9)
    cases = {1: {"x": 1.0, "y": 1.0}, 2: {"x": 2.0, "y": 2.0}, 3: {"x": 9.0, "y": 3.0}}
    cases[9] = {"x": 0.0, "y": 8.0}
    state = State(archive_of(THREE), census, profile=lambda key: Profile(cases.get(key, {}), 10))
    rng = np.random.default_rng(1)
    assert {pareto(among=4)(state, rng) for _ in range(50)} == {3, 9}
    assert {clusters(among=4, temperature=1e9)(state, rng) for _ in range(99)} == {1, 2, 3, 9}
    assert {pareto(among=1)(state, rng) for _ in range(50)} == {3}, "of the fittest one alone"
    assert 9 not in {pareto()(state, rng) for _ in range(50)}


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(-3, 3)), max_size=60))
def test_the_fittest_of_an_island_are_known_whatever_the_order(
    pairs: list[tuple[int, int]],
) -> None:
    offered = dict(pairs)
    here, there = IslandCensus(), IslandCensus()
    for key, fitness in offered.items():
        here.keep(key, float(fitness))
    for key, fitness in sorted(offered.items()):
        there.keep(key, float(fitness))
        there.keep(key, float(fitness))  # it comes back from another island
    ranked = sorted(offered.items(), key=lambda pair: (-pair[1], pair[0]))
    assert here.fittest(7) == there.fittest(7) == ranked[:7]
    assert here.fittest(FITTEST) == ranked


def test_only_so_many_of_an_island_are_kept() -> None:
    here = IslandCensus()
    for key in range(FITTEST + 50):
        here.keep(key, float(key % 700))
    assert len(here.fittest(10**6)) == FITTEST
    assert here.fittest(2) == [(699, 699.0), (698, 698.0)]
