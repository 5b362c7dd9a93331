from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.archive.base import Elite
from evolve.archive.grid import GridArchive
from evolve.archive.selection import SELECTORS, Selector, State, inspirations
from evolve.archive.selection.plain import mixed, rank, uniform
from evolve.core.measures import Measure


def archive_of(fitness: list[float], cells: int = 100) -> GridArchive:
    """Return a strip in which program ``i`` sits in cell ``i``."""
    archive = GridArchive([Measure("x", 0.0, float(cells), cells)])
    for key, value in enumerate(fitness):
        archive.add(key, value, {"x": key + 0.5})
    return archive


def frequencies(selector: Selector, archive: GridArchive, draws: int = 4000) -> list[float]:
    """Return how often each elite is chosen, fittest first."""
    rng = np.random.default_rng(3)
    counts = Counter(selector(State(archive), rng) for _ in range(draws))
    return [counts[elite.key] / draws for elite in archive]


FIVE = [0.3, 9.0, -1.0, 4.0, 2.0]


def test_uniform_takes_each_cell_equally_often() -> None:
    assert frequencies(uniform(), archive_of(FIVE)) == pytest.approx([0.2] * 5, abs=0.03)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_rank_follows_its_power_law(exponent: float) -> None:
    weights = [r**-exponent for r in range(1, 6)]
    expected = [weight / sum(weights) for weight in weights]
    seen = frequencies(rank(exponent=exponent), archive_of(FIVE))
    assert seen == pytest.approx(expected, abs=0.03)


def test_rank_does_not_depend_on_the_scale_of_fitness() -> None:
    stretched = archive_of([math.exp(value) for value in FIVE])
    assert frequencies(rank(), archive_of(FIVE)) == frequencies(rank(), stretched)


def test_mixed_adds_up_its_parts() -> None:
    selector = mixed(best=1, ranked=2, explore=1, exponent=0.0)
    expected = [0.25 + 0.15] + [0.15] * 4
    assert frequencies(selector, archive_of(FIVE)) == pytest.approx(expected, abs=0.03)


def test_mixed_by_default_exploits_and_explores() -> None:
    seen = frequencies(mixed(), archive_of(FIVE))
    assert seen[0] > 0.5
    assert min(seen) > 0.03


def test_mixed_with_best_alone_is_greedy() -> None:
    assert frequencies(mixed(best=1, ranked=0, explore=0), archive_of(FIVE))[0] == 1.0


@pytest.mark.parametrize("name", SELECTORS)
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(8)))
def test_the_choice_depends_on_contents_and_generator_alone(
    name: str, seed: int, order: list[int]
) -> None:
    shuffled = GridArchive([Measure("x", 0.0, 100.0, 100)])
    for key in order:
        shuffled.add(key, key % 3, {"x": key + 0.5})
    plain = archive_of([key % 3 for key in range(8)])
    selector = SELECTORS[name]()
    here, there = np.random.default_rng(seed), np.random.default_rng(seed)
    key = selector(State(plain), here)
    assert key == selector(State(shuffled), there)
    parent = next(elite for elite in plain if elite.key == key)
    assert inspirations(plain, parent, 4, here) == inspirations(shuffled, parent, 4, there)
    assert here.bit_generator.state == there.bit_generator.state


@pytest.mark.parametrize("name", SELECTORS)
def test_a_single_elite_is_always_chosen_and_none_at_all_is_an_error(name: str) -> None:
    selector, rng = SELECTORS[name](), np.random.default_rng(0)
    assert selector(State(archive_of([1.0])), rng) == 0
    for _ in range(20):
        with pytest.raises(ValueError, match="empty"):
            selector(State(archive_of([])), rng)


@pytest.mark.parametrize("exponent", [-1.0, math.nan, math.inf])
def test_exponents_that_make_no_sense_are_refused(exponent: float) -> None:
    for factory in (rank, mixed):
        with pytest.raises(ValueError, match="exponent"):
            factory(exponent=exponent)


@pytest.mark.parametrize(
    "options",
    [
        {"best": -0.1},
        {"best": 0.0, "ranked": 0.0, "explore": 0.0},
        {"explore": math.nan},
        {"ranked": math.inf},
    ],
)
def test_frequencies_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least 0|one must not be"):
        mixed(**options)


@given(
    fitness=st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=30),
    count=st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_inspirations_are_distinct_others_fittest_first(
    fitness: list[float], count: int, seed: int, data: st.DataObject
) -> None:
    archive = archive_of(fitness)
    parent = data.draw(st.sampled_from(archive.elites()))
    chosen = inspirations(archive, parent, count, np.random.default_rng(seed))
    others = [elite for elite in archive if elite != parent]
    assert len(chosen) == min(count, len(others))
    assert len({elite.cell for elite in chosen}) == len(chosen)
    assert parent not in chosen
    assert chosen == [elite for elite in others if elite in chosen]
    assert set(others[: (count + 1) // 2]) <= set(chosen)


def test_nothing_is_taken_from_the_cell_of_a_parent_that_was_replaced() -> None:
    archive = archive_of([1.0, 2.0, 3.0])
    parent = archive.elites()[0]
    archive.add(99, 50.0, {"x": 2.5})
    chosen = inspirations(archive, parent, 5, np.random.default_rng(0))
    assert [elite.key for elite in chosen] == [1, 0]


def test_the_diverse_half_comes_from_far_away() -> None:
    near = [10.0 - key / 10 for key in range(10)]
    archive = archive_of([*near, *([0.0] * 90)])
    parent = archive.elites()[0]
    rng = np.random.default_rng(0)
    draws = [inspirations(archive, parent, 4, rng) for _ in range(300)]
    assert all({elite.key for elite in drawn} >= {1, 2} for drawn in draws)
    diverse = [[e.cell for e in drawn if e.key not in (1, 2)] for drawn in draws]
    assert np.mean(diverse) > 60  # uniform draws would give about 51
    spread = [abs(first - second) for first, second in diverse]
    assert np.mean(spread) > 38  # independent uniform draws would give about 33
    assert len({cell for pair in diverse for cell in pair}) > 50


def test_distance_counts_each_axis_as_a_share_of_its_length() -> None:
    archive = GridArchive([Measure("a", 0.0, 1.0, 2), Measure("b", 0.0, 1000.0, 100)])
    places = {"parent": (0.1, 5.0), "fittest": (0.1, 995.0), "near": (0.1, 25.0), "far": (0.9, 5.0)}
    for key, (a, b) in enumerate(places.values()):
        archive.add(key, -float(key), {"a": a, "b": b})
    parent = Elite(0, 0, 0.0, (0.1, 5.0))
    rng = np.random.default_rng(0)
    names = list(places)
    drawn = Counter(names[inspirations(archive, parent, 2, rng)[1].key] for _ in range(200))
    assert drawn["far"] > 190  # one of 2 cells away counts more than two of 100
