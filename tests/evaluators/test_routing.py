"""Routes built stop by stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evolve import Invalid, Usage
from tests.evaluators.play import play
from tests.evaluators.test_library import evaluator


def test_the_nearest_city_is_the_nearest_neighbour_rule() -> None:
    made = evaluator("tsp_construct")
    for case in made.cases("search"):
        tour = play(made, case, lambda to_here, **_: -to_here)
        assert sorted(tour) == list(range(len(tour)))
        score = made.score(case, tour, Usage())
        assert score.objective == pytest.approx(1)
        assert score.measures["greed"] == 1


def test_the_nearest_customer_who_fits_is_the_reference() -> None:
    made = evaluator("cvrp_construct")
    for case in made.cases("search"):
        stops = play(
            made, case, lambda to_here, demands, **_: np.where(demands > 0, -to_here, -10.0)
        )
        score = made.score(case, stops, Usage())
        assert score.objective == pytest.approx(1)
        assert 0.5 < score.measures["mean_load"] <= 1


def test_no_rule_overloads_a_vehicle_or_leaves_anybody_out() -> None:
    made = evaluator("cvrp_construct")
    rng = np.random.default_rng(0)
    for case in made.cases("held_out"):
        stops = play(made, case, lambda demands, **_: rng.random(len(demands)))
        place: Any = case.secret
        assert sorted(each for each in stops if each) == list(range(1, len(place.distances)))
        loads = [place.demands[list(route)].sum() for route in _routes(stops)]
        assert max(loads) <= 40
        assert min(loads) > 0


def _routes(stops: list[int]) -> list[list[int]]:
    routes: list[list[int]] = []
    for stop in stops[:-1]:
        if stop:
            routes[-1].append(stop)
        else:
            routes.append([])
    return routes


@pytest.mark.parametrize("bad", [None, "x", [1.0], np.nan, [[1]]])
@pytest.mark.parametrize("name", ["tsp_construct", "cvrp_construct"])
def test_what_is_not_a_number_for_each_choice_is_refused(name: str, bad: object) -> None:
    made = evaluator(name)
    case = next(iter(made.cases("search")))
    with pytest.raises(Invalid):
        play(made, case, lambda **_: bad)
    with pytest.raises(Invalid):
        play(made, case, lambda to_here, **_: np.full(len(to_here), np.inf))


@pytest.mark.parametrize("problem", ["tsp_construct", "cvrp_construct"])
def test_maps_are_drawn_anew_from_a_seed(problem: str) -> None:
    made = evaluator(problem)
    for case in made.cases("search"):
        drawn = [made.reseed(case, seed) for seed in (7, 7, 8)]
        assert {each.name for each in drawn} == {case.name}
        first: Any = case.secret
        maps: list[Any] = [each.secret for each in drawn]
        assert np.array_equal(maps[0].distances, maps[1].distances)
        assert {each.distances.shape for each in maps} == {first.distances.shape}
        assert {each.clustered for each in maps} == {first.clustered}
        for other in (maps[2], first):
            assert not np.array_equal(maps[0].distances, other.distances)
