"""Every kind of archive beside the plainest thing that could do the same."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evolve.archive.base import AddResult, AddStatus, Archive, fold
from evolve.archive.cells import CellArchive
from evolve.archive.cvt import Voronoi, spread_centroids
from evolve.archive.front import FrontArchive
from evolve.archive.grid import Grid, GridArchive
from evolve.archive.novelty import NoveltyArchive
from evolve.archive.spec import ArchiveSpec
from evolve.core.measures import Measure, Objective

X, Y = Measure("x", -1.0, 3.0, 4), Measure("y", 1.0, 1000.0, 3, "log")
SIZE, SPEED = Objective("size", "minimize"), Objective("speed")
CENTROIDS = ((0.1, 0.2), (0.1, 0.9), (0.5, 0.5), (0.8, 0.1), (0.9, 0.9))

#: Few distinct values, so that cells are hit often and ties happen.
VALUE = st.sampled_from([-2.0, -0.5, 0.0, 1.0, 1.5, 7.25])
X_VALUE = st.sampled_from([-3.0, -1.0, -0.5, 0.2, 1.0, 2.9, 3.0, 4.0])
Y_VALUE = st.sampled_from([0.5, 1.0, 2.0, 9.0, 50.0, 900.0, 1e4])


@dataclass(frozen=True)
class Offered:
    """An offer, shaped like an event of the store."""

    program_id: int
    fitness: float
    measures: dict[str, float]
    metrics: dict[str, float]
    status: str = "new"


@st.composite
def offered(draw: st.DrawFn) -> list[Offered]:
    rows = draw(st.lists(st.tuples(VALUE, X_VALUE, Y_VALUE, VALUE, VALUE), max_size=50))
    return [
        Offered(key, fitness, {"x": x, "y": y}, {"size": size, "speed": speed})
        for key, (fitness, x, y, size, speed) in enumerate(rows)
    ]


SPECS = [
    ArchiveSpec((X, Y)),
    ArchiveSpec((X, Y), depth=3),
    ArchiveSpec((X, Y), depth=4, objectives=(SIZE,)),
    ArchiveSpec((X, Y), depth=3, objectives=(SIZE, SPEED)),
    ArchiveSpec((X, Y), kind="cvt", centroids=CENTROIDS),
    ArchiveSpec((X, Y), kind="cvt", centroids=CENTROIDS, depth=2, objectives=(SIZE,)),
    ArchiveSpec((X, Y), kind="novelty", threshold=0.25),
    ArchiveSpec((X, Y), kind="novelty", threshold=0.4, neighbors=3),
    ArchiveSpec((X, Measure("y", 1.0, 1000.0, 3, "quantile", (5.0, 60.0)))),
]
every_kind = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.depth}")


def offer(archive: Archive, one: Offered) -> AddResult:
    return archive.add(one.program_id, one.fitness, one.measures, one.metrics)


def filled(spec: ArchiveSpec, offers: list[Offered]) -> Archive:
    archive = spec.build(offset=-2.0)
    fold(archive, offers)
    return archive


@every_kind
@given(offers=offered())
def test_folding_what_was_added_rebuilds_every_kind(
    spec: ArchiveSpec, offers: list[Offered]
) -> None:
    archive, added = spec.build(), []
    for one in offers:
        before = archive.elites()
        result = offer(archive, one)
        if result.status is AddStatus.NOT_ADDED:
            assert (archive.elites(), result.replaced) == (before, ())
        else:
            added.append(one)
            left = {e.key for e in before} - {e.key for e in archive}
            assert left == set(result.replaced)
            assert one.program_id in {e.key for e in archive.occupants(result.cell)}
    rebuilt = ArchiveSpec.from_dict(json.loads(json.dumps(spec.as_dict()))).build()
    fold(rebuilt, added)
    assert rebuilt.elites() == archive.elites()
    assert rebuilt.champions() == archive.champions()
    assert rebuilt.clipped == archive.clipped
    assert rebuilt.stats() == archive.stats()
    np.testing.assert_array_equal(rebuilt.positions(), archive.positions())


@every_kind
@given(offers=offered())
def test_what_every_kind_promises(spec: ArchiveSpec, offers: list[Offered]) -> None:
    archive = filled(spec, offers)
    elites = archive.elites()
    assert elites == sorted(elites, key=lambda e: (-e.fitness, e.key))
    cells = {elite.cell for elite in elites}
    grouped = {cell: archive.occupants(cell) for cell in cells}
    assert sum(map(len, grouped.values())) == len(archive) == len(elites)
    assert archive.champions() == sorted(
        (held[0] for held in grouped.values()), key=lambda e: (-e.fitness, e.key)
    )
    assert archive.best == (elites[0] if elites else None)
    assert (archive.best is None) == (not offers)
    if offers:
        assert elites[0].fitness == max(one.fitness for one in offers)
    positions = archive.positions()
    assert positions.shape == (len(elites), 2)
    assert ((positions >= 0) & (positions <= 1)).all()
    np.testing.assert_array_equal(positions, archive.centers([e.cell for e in elites]))
    stats = archive.stats()
    assert stats.num_elites == len(elites)
    assert stats.coverage == (None if archive.cells is None else len(cells) / archive.cells)
    assert stats.qd_score == sum(e.fitness + 2.0 for e in archive.champions())
    outside = [(e.measures[0] < -1, e.measures[0] > 3) for e in elites]
    assert archive.clipped["x"].below >= sum(low for low, _ in outside)
    assert archive.clipped["x"].above >= sum(high for _, high in outside)


@given(offered(), st.integers(1, 4))
def test_a_deep_cell_holds_the_fittest_and_of_equals_the_first(
    offers: list[Offered], depth: int
) -> None:
    archive = GridArchive((X, Y), depth=depth)
    cells: dict[int, list[Offered]] = {}
    for one in offers:
        cell = X.locate(one.measures["x"]).cell * 3 + Y.locate(one.measures["y"]).cell
        held = cells.setdefault(cell, [])
        twin = any((o.fitness, o.measures) == (one.fitness, one.measures) for o in held)
        assert offer(archive, one).cell == cell
        if not twin:
            held.append(one)
            held.sort(key=lambda o: (-o.fitness, o.program_id))
            del held[depth:]
    assert {cell: [e.key for e in archive.occupants(cell)] for cell in cells} == {
        cell: [o.program_id for o in held] for cell, held in cells.items()
    }


@given(offered())
def test_a_cvt_puts_everything_into_the_cell_of_the_nearest_centroid(
    offers: list[Offered],
) -> None:
    archive = CellArchive(Voronoi((X, Y), CENTROIDS))
    best: dict[int, tuple[float, int]] = {}
    for one in offers:
        point = (X.fraction(one.measures["x"]), Y.fraction(one.measures["y"]))
        cell = min(range(5), key=lambda c: math.dist(CENTROIDS[c], point))
        assert math.dist(CENTROIDS[offer(archive, one).cell], point) == pytest.approx(
            math.dist(CENTROIDS[cell], point)
        )
        best.setdefault(cell, (one.fitness, one.program_id))
        best[cell] = max(best[cell], (one.fitness, one.program_id), key=lambda held: held[0])
    assert {e.cell: (e.fitness, e.key) for e in archive} == best


@given(offered())
def test_a_cvt_agrees_with_pyribs_on_cells(offers: list[Offered]) -> None:
    from ribs.archives import CVTArchive

    oracle = CVTArchive(
        solution_dim=1,
        centroids=np.array(CENTROIDS),
        ranges=[(0.0, 1.0)] * 2,
        nearest_neighbors="brute_force",
    )
    archive = CellArchive(Voronoi((X, Y), CENTROIDS))
    for one in offers:
        point = [X.fraction(one.measures["x"]), Y.fraction(one.measures["y"])]
        theirs = oracle.index_of_single(np.array(point))
        distances = [math.dist(point, CENTROIDS[c]) for c in (offer(archive, one).cell, theirs)]
        assert distances[0] == pytest.approx(distances[1])


@given(offered(), st.integers(2, 5))
def test_a_front_holds_nothing_dominated_and_all_that_is_not_while_there_is_room(
    offers: list[Offered], depth: int
) -> None:
    archive = FrontArchive(Grid((X, Y)), (SIZE, SPEED), depth=depth)
    vectors: dict[int, dict[int, tuple[float, ...]]] = {}
    trimmed = set()
    for one in offers:
        vector = (one.fitness, -one.metrics["size"], one.metrics["speed"])
        result = offer(archive, one)
        vectors.setdefault(result.cell, {})[one.program_id] = vector
        if len(archive.occupants(result.cell)) == depth:
            trimmed.add(result.cell)
    for cell, seen in vectors.items():
        held = {e.key: (e.fitness, *e.objectives) for e in archive.occupants(cell)}
        assert 1 <= len(held) <= depth
        assert all(seen[key] == vector for key, vector in held.items())
        assert not any(dominates(a, b) for a in held.values() for b in held.values())
        assert len(set(held.values())) == len(held)
        assert max(v[0] for v in held.values()) == max(v[0] for v in seen.values())
        if cell not in trimmed:  # never full, so never bounded
            front = {v for v in seen.values() if not any(dominates(w, v) for w in seen.values())}
            assert set(held.values()) == front


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


def test_a_full_front_gives_up_its_most_crowded_place_and_keeps_its_ends() -> None:
    archive = FrontArchive(Grid((X,)), (SPEED,), depth=4)

    def add(key: int, speed: float) -> AddResult:
        return archive.add(key, 10.0 - speed, {"x": 0.0}, {"speed": speed})

    for key, speed in enumerate([0.0, 1.0, 9.0, 10.0]):
        add(key, speed)
    # Of 0, 1, 2, 9, 10 the neighbours of 1 are 2 apart, those of 2 and of 9 are 8 apart.
    assert add(4, 2.0).replaced == (1,)
    # Of 0, 1.5, 2, 9, 10 those of 1.5 itself are the closest.
    refused = add(5, 1.5)
    assert (refused.status, refused.replaced) == (AddStatus.NOT_ADDED, ())
    assert [e.key for e in archive] == [0, 4, 2, 3]


@dataclass
class Niches:
    """A novelty archive in its plainest form: a list of (point, fitness, key)."""

    threshold: float
    neighbors: int
    held: list[tuple[tuple[float, float], float, int]] = field(default_factory=list)

    def add(self, key: int, fitness: float, point: tuple[float, float]) -> AddStatus:
        distances = [math.dist(point, other) for other, _, _ in self.held]
        away = sorted(distances)[: self.neighbors]
        novelty = sum(away) / len(away) if away else math.inf
        assume(abs(novelty - self.threshold) > 1e-9)  # rounding would decide
        if novelty >= self.threshold:
            self.held.append((point, fitness, key))
            return AddStatus.NEW
        near = distances.index(away[0])
        assume(not any(0 < other - away[0] < 1e-9 for other in distances))
        if fitness <= self.held[near][1]:
            return AddStatus.NOT_ADDED
        self.held[near] = (point, fitness, key)
        return AddStatus.IMPROVE_EXISTING


@given(
    st.lists(st.tuples(VALUE, st.floats(-1.0, 3.0), st.floats(1.0, 1000.0)), max_size=90),
    st.sampled_from([0.05, 0.123, 0.3]),
    st.integers(1, 4),
)
def test_novelty_opens_niches_and_fitness_holds_them(
    rows: list[tuple[float, float, float]], threshold: float, neighbors: int
) -> None:
    archive = NoveltyArchive((X, Y), threshold=threshold, neighbors=neighbors)
    model = Niches(threshold, neighbors)
    for key, (fitness, x, y) in enumerate(rows):
        point = (X.fraction(x), Y.fraction(y))
        status = archive.add(key, fitness, {"x": x, "y": y}).status
        assert status is model.add(key, fitness, point)
    assert [archive.occupants(cell)[0].key for cell in range(len(model.held))] == [
        key for _, _, key in model.held
    ]
    centers = archive.centers(range(len(model.held)))
    assert centers == pytest.approx(np.array([point for point, _, _ in model.held]).reshape(-1, 2))
    assert archive.occupants(len(model.held)) == ()
    assert archive.stats().coverage is None


def test_niches_keep_their_distance_with_one_neighbour() -> None:
    archive = NoveltyArchive((X, Y), threshold=0.2)
    rng = np.random.default_rng(5)
    for key in range(400):  # of one fitness, so nothing moves
        archive.add(key, 0.0, {"x": rng.uniform(-1, 3), "y": 10 ** rng.uniform(0, 3)})
    points = archive.positions()
    gaps = np.sqrt(np.square(points[:, None] - points).sum(axis=-1))
    assert 15 < len(archive) < 40
    assert gaps[~np.eye(len(points), dtype=bool)].min() >= 0.2


def test_centroids_are_spread_evenly_and_come_from_the_seed() -> None:
    points = spread_centroids(2, 50, seed=3)
    assert points.shape == (50, 2)
    assert np.array_equal(points, spread_centroids(2, 50, seed=3))
    assert not np.array_equal(points, spread_centroids(2, 50, seed=4))
    assert points.tolist() == sorted(points.tolist())
    archive = CellArchive(Voronoi((Measure("x", 0, 1, 1), Measure("y", 0, 1, 1)), points))
    samples = np.random.default_rng(0).random((5000, 2)).tolist()
    hits = np.bincount([archive.cell_of({"x": x, "y": y}) for x, y in samples], minlength=50)
    assert hits.min() > 40  # of 100 expected


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@every_kind
def test_numbers_that_are_not_finite_are_refused_by_every_kind(
    spec: ArchiveSpec, bad: float
) -> None:
    archive = spec.build()
    metrics = {"size": 1.0, "speed": 1.0}
    with pytest.raises(ValueError, match="fitness"):
        archive.add(1, bad, {"x": 0.0, "y": 1.0}, metrics)
    with pytest.raises(ValueError, match="measure y"):
        archive.add(1, 1.0, {"x": 0.0, "y": bad}, metrics)
    with pytest.raises(ValueError, match="the measure y is missing; given: x"):
        archive.add(1, 1.0, {"x": 0.0}, metrics)
    assert len(archive) == 0


def test_a_front_names_the_metric_it_lacks() -> None:
    archive = FrontArchive(Grid((X,)), (SIZE,))
    with pytest.raises(ValueError, match="the metric size is missing; given: speed"):
        archive.add(1, 1.0, {"x": 0.0}, {"speed": 1.0})
    with pytest.raises(ValueError, match="metric size is nan"):
        archive.add(1, 1.0, {"x": 0.0}, {"size": math.nan})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ArchiveSpec((X,), depth=0), "depth is 0"),
        (ArchiveSpec((X,), depth=1, objectives=(SIZE,)), "room for at least 2"),
        (ArchiveSpec((X,), depth=3, objectives=(SIZE, SIZE)), "distinct names"),
        (ArchiveSpec((X,), kind="cvt", centroids=((0.5, 0.5),)), "1 columns"),
        (ArchiveSpec((X,), kind="novelty", threshold=1.1), "at most 1, the diagonal"),
        (ArchiveSpec((X,), kind="novelty", neighbors=0), "neighbors is 0"),
        (ArchiveSpec((X, X), kind="novelty"), "distinct names"),
    ],
)
def test_archives_that_cannot_be_are_refused(spec: ArchiveSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec.build()


def test_a_definition_of_the_usual_kind_is_short() -> None:
    assert ArchiveSpec((X,)).as_dict() == {
        "measures": [{"name": "x", "low": -1.0, "high": 3.0, "cells": 4}]
    }


@settings(max_examples=20)
@given(st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=60))
def test_a_definition_settles_once(values: list[float]) -> None:
    spec = ArchiveSpec((X, Measure("y", 1.0, 1000.0, 5, "quantile")))
    assert not spec.settled
    settled = spec.settle([{"x": 0.0, "y": value} for value in values])
    assert settled.settled
    assert settled.measures[0] == X
    assert settled.settle([{"x": 0.0, "y": 7.0}]) == settled
