"""Routes built stop by stop: a rule says where to go next, and never sees the plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

Floats = NDArray[np.float64]
_SEEDS: Final[dict[Stage, int]] = {"search": 1, "held_out": 2}
#: Number of instances, of places, and whether they lie in clusters.
_MAPS: Final[dict[Stage, tuple[tuple[int, int, bool], ...]]] = {
    "search": ((4, 50, False), (3, 50, True), (1, 100, False)),
    "held_out": ((3, 70, False), (3, 70, True), (1, 150, False)),
}
#: What a vehicle carries, and the largest demand of a customer; the smallest is 1.
CAPACITY, _LARGEST_DEMAND = 40, 9


@dataclass(frozen=True, slots=True)
class Map:
    """Places in the unit square; the first one is where routes start and end.

    Attributes:
        distances: Between all places, shape ``(n, n)``.
        demands: Of every place, shape ``(n,)``; 0 at the first.
        clustered: Whether places lie about five centres.
    """

    distances: Floats
    demands: NDArray[np.int64]
    clustered: bool


class Construction(Evaluator):
    """What problems share whose cases are maps."""

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield maps drawn from a fixed seed."""
        for name, place in _maps(stage):
            yield Case({}, name=name, secret=place)

    def reseed(self, case: Case, seed: int) -> Case:
        """Draw another map of the same kind, so that maps can rotate."""
        place = _known(case)
        drawn = _drawn(np.random.default_rng(seed), len(place.distances), clustered=place.clustered)
        return replace(case, seed=seed, secret=drawn)


class TourConstruction(Construction):
    """Minimise a round trip that is built city by city, over that of the nearest neighbour rule."""

    async def interact(self, case: Case, call: Call) -> Value:
        """Ask for every step; the order of the cities not yet visited is theirs, not the map's."""
        place = _known(case)
        here, left, tour = 0, np.arange(1, len(place.distances)), [0]
        while left.size:
            answer = await call(
                to_here=place.distances[here, left],
                to_start=place.distances[0, left],
                between=place.distances[np.ix_(left, left)],
            )
            chosen = best_of(answer, left.size)
            here = int(left[chosen])
            tour.append(here)
            left = np.delete(left, chosen)
        return tour

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Measure the trip that `interact` built."""
        place = _known(case)
        tour = np.array(output)
        steps = place.distances[tour, np.roll(tour, -1)]
        nearest = nearest_neighbour(place.distances)
        reference = float(place.distances[nearest, np.roll(nearest, -1)].sum())
        length = float(steps.sum())
        return Score(
            objective=length / reference,
            measures={
                "longest_step": float(steps.max() / steps.mean()),
                "greed": _greed(place.distances, tour),
            },
            feedback=f"length {length:.3f}, nearest neighbour {reference:.3f}",
        )


class RouteConstruction(Construction):
    """Minimise the routes of vehicles of limited capacity, built stop by stop.

    Returning to the depot is one of the choices, offered last, whenever the vehicle is not there.
    The objective is the length of all routes over that of the nearest neighbour rule.
    """

    async def interact(self, case: Case, call: Call) -> Value:
        """Ask for every step; customers whose demand does not fit are not offered."""
        place = _known(case)
        here, room, stops = 0, CAPACITY, [0]
        left = set(range(1, len(place.distances)))
        while left:
            offered = [each for each in sorted(left) if place.demands[each] <= room]
            choices = np.array([*offered, 0] if here else offered)
            answer = await call(
                to_here=place.distances[here, choices],
                to_depot=place.distances[0, choices],
                demands=place.demands[choices].astype(float),
                room=float(room),
                left=float(sum(place.demands[each] for each in left)),
            )
            here = int(choices[best_of(answer, len(choices))])
            room = room - int(place.demands[here]) if here else CAPACITY
            left.discard(here)
            stops.append(here)
        return [*stops, 0]

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Measure the routes that `interact` built."""
        place = _known(case)
        stops = np.array(output)
        length = float(place.distances[stops[:-1], stops[1:]].sum())
        nearest = np.array(nearest_routes(place))
        reference = float(place.distances[nearest[:-1], nearest[1:]].sum())
        routes = int((stops == 0).sum()) - 1
        load = float(place.demands.sum()) / (routes * CAPACITY)
        return Score(
            objective=length / reference,
            measures={"mean_load": load, "stem_share": _stem_share(place.distances, stops)},
            metrics={"routes": routes},
            feedback=f"{routes} routes of length {length:.3f}, nearest neighbour {reference:.3f}",
        )


def best_of(answer: Value, choices: int) -> int:
    """Return the choice with the largest number, the first one of equals.

    Raises:
        Invalid: there is not one finite number for each choice.
    """
    try:
        numbers = np.asarray(answer)
    except ValueError as error:
        raise Invalid(f"not an array of numbers: {error}") from None
    if numbers.shape != (choices,) or numbers.dtype.kind not in "iuf":
        raise Invalid(
            f"return {choices} numbers, one for each choice, not {numbers.dtype} of shape "
            f"{numbers.shape}"
        )
    if not np.isfinite(numbers).all():
        raise Invalid("a choice has a number that is not finite")
    return int(numbers.argmax())


def nearest_neighbour(distances: Floats) -> NDArray[np.int64]:
    """Return the tour from place 0 that always goes to the nearest place not yet visited."""
    left, tour = set(range(1, len(distances))), [0]
    while left:
        tour.append(min(left, key=lambda each: (distances[tour[-1], each], each)))
        left.remove(tour[-1])
    return np.array(tour)


def nearest_routes(place: Map) -> list[int]:
    """Return stops, depot included, that always go to the nearest customer who still fits."""
    left, stops, room = set(range(1, len(place.distances))), [0], CAPACITY
    while left:
        fitting = [each for each in left if place.demands[each] <= room]
        here = stops[-1]
        after = min(fitting, key=lambda each: (place.distances[here, each], each), default=0)
        room = room - int(place.demands[after]) if after else CAPACITY
        left.discard(after)
        stops.append(after)
    return [*stops, 0]


def _maps(stage: Stage) -> Iterable[tuple[str, Map]]:
    rng = np.random.default_rng(_SEEDS[stage])
    for count, size, clustered in _MAPS[stage]:
        for index in range(count):
            kind = "clustered" if clustered else "uniform"
            yield f"{size} {kind}/{index}", _drawn(rng, size, clustered=clustered)


def _drawn(rng: np.random.Generator, size: int, *, clustered: bool) -> Map:
    points = rng.random((size, 2))
    if clustered:
        centres = rng.random((5, 2))
        points = centres[rng.integers(5, size=size)] + rng.normal(0, 0.06, (size, 2))
    demands = rng.integers(1, _LARGEST_DEMAND + 1, size=size)
    demands[0] = 0
    distances = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    return Map(distances, demands, clustered)


def _known(case: Case) -> Map:
    """Return the scorer's own map of the case."""
    assert isinstance(case.secret, Map)
    return case.secret


def _greed(distances: Floats, tour: NDArray[np.int64]) -> float:
    """Return the share of steps that go to the nearest city not yet visited."""
    greedy = 0
    for place in range(1, len(tour)):
        here, left = tour[place - 1], tour[place:]
        greedy += distances[here, tour[place]] <= distances[here, left].min()
    return greedy / (len(tour) - 1)


def _stem_share(distances: Floats, stops: NDArray[np.int64]) -> float:
    """Return the share of the length that leads from or to the depot."""
    steps = distances[stops[:-1], stops[1:]]
    stem = (stops[:-1] == 0) | (stops[1:] == 0)
    return float(steps[stem].sum() / steps.sum())
