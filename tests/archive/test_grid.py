from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.archive.base import AddStatus, Elite
from evolve.archive.grid import GridArchive
from evolve.core.measures import Measure

X, Y = Measure("x", -1.0, 3.0, 4), Measure("y", 0.0, 10.0, 3)

#: Few distinct values, so that cells are hit often and ties happen.
FITNESS = st.sampled_from([-2.0, -0.5, 0.0, 1.0, 1.5, 7.25])
POSITION = st.floats(-20.0, 20.0)
OFFERS = st.lists(st.tuples(FITNESS, POSITION, POSITION), max_size=60)


def archive_of(offers: list[tuple[float, float, float]], offset: float = 0.0) -> GridArchive:
    archive = GridArchive([X, Y], offset=offset)
    for key, (fitness, x, y) in enumerate(offers):
        archive.add(key, fitness, {"x": x, "y": y})
    return archive


@dataclass
class Model:
    """MAP-Elites in its plainest form: the best (fitness, key) of every cell."""

    cells: dict[tuple[int, int], tuple[float, int]] = field(default_factory=dict)

    def add(self, key: int, fitness: float, cell: tuple[int, int]) -> AddStatus:
        old = self.cells.get(cell)
        if old is not None and fitness <= old[0]:
            return AddStatus.NOT_ADDED
        self.cells[cell] = (fitness, key)
        return AddStatus.NEW if old is None else AddStatus.IMPROVE_EXISTING


@given(OFFERS)
def test_it_behaves_as_a_dictionary_of_the_best_of_every_cell(
    offers: list[tuple[float, float, float]],
) -> None:
    archive, model = GridArchive([X, Y]), Model()
    for key, (fitness, x, y) in enumerate(offers):
        place = X.locate(x).cell, Y.locate(y).cell
        old = model.cells.get(place)
        result = archive.add(key, fitness, {"x": x, "y": y})
        assert result.status is model.add(key, fitness, place)
        assert result.cell == place[0] * 3 + place[1]
        assert result.improvement == (fitness if old is None else fitness - old[0])
        assert result.replaced == (
            (old[1],) if old and result.status is AddStatus.IMPROVE_EXISTING else ()
        )
        outside = {"x": not -1 <= x <= 3, "y": not 0 <= y <= 10}
        assert result.clipped == tuple(name for name, out in outside.items() if out)
    assert {divmod(e.cell, 3): (e.fitness, e.key) for e in archive} == model.cells
    assert archive.elites() == sorted(archive, key=lambda e: (-e.fitness, e.key))
    assert len(archive) == len(model.cells)
    assert archive.best == (archive.elites()[0] if model.cells else None)


@given(OFFERS, st.data())
def test_the_order_of_elites_does_not_depend_on_the_order_they_came_in(
    offers: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    first, again = archive_of(offers), GridArchive([X, Y])
    for elite in data.draw(st.permutations(first.elites())):
        again.add(elite.key, elite.fitness, dict(zip("xy", elite.measures, strict=True)))
    assert again.elites() == first.elites()
    assert again.best == first.best
    assert again.stats() == first.stats()
    assert np.array_equal(again.positions(), first.positions())


@given(OFFERS)
def test_a_fold_of_what_was_added_rebuilds_the_archive_and_its_clip_counts(
    offers: list[tuple[float, float, float]],
) -> None:
    live, rebuilt = GridArchive([X, Y]), GridArchive([X, Y])
    for key, (fitness, x, y) in enumerate(offers):
        if live.add(key, fitness, {"x": x, "y": y}).status is not AddStatus.NOT_ADDED:
            rebuilt.add(key, fitness, {"x": x, "y": y})
    assert rebuilt.elites() == live.elites()
    assert rebuilt.clipped == live.clipped


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 100),
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
)
def test_pyribs_agrees(seed: int, count: int, cells: list[int]) -> None:
    rng = np.random.default_rng(seed)
    compare_with_pyribs(
        cells,
        measures=rng.uniform(-1.2, 2.5, (count, len(cells))).round(2),
        objectives=rng.integers(-5, 6, count) / 4,
    )


@pytest.mark.slow
def test_pyribs_agrees_on_many_additions() -> None:
    rng = np.random.default_rng(1)
    compare_with_pyribs([40, 25], rng.uniform(-1.2, 2.5, (50_000, 2)), rng.normal(size=50_000))


def compare_with_pyribs(
    cells: list[int], measures: np.ndarray, objectives: np.ndarray, offset: float = -2.0
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, of the compilation
        from ribs.archives import GridArchive as Oracle

        oracle = Oracle(
            solution_dim=1,
            dims=cells,
            ranges=[(-1.0, 2.0)] * len(cells),
            qd_score_offset=offset,
        )
        names = [f"m{axis}" for axis in range(len(cells))]
        archive = GridArchive(
            [Measure(name, -1.0, 2.0, n) for name, n in zip(names, cells, strict=True)],
            offset=offset,
        )
        cells_seen = []
        for key, (position, objective) in enumerate(zip(measures, objectives, strict=True)):
            added = oracle.add_single([float(key)], objective, position)
            named = dict(zip(names, position.tolist(), strict=True))
            ours = archive.add(key, float(objective), named)
            assert ours.status == added["status"]
            assert ours.improvement == pytest.approx(added["value"])
            cells_seen.append(ours.cell)
        assert cells_seen == oracle.index_of(measures).tolist()
        data, theirs = oracle.data(), oracle.stats
    expected = dict(zip(data["index"].tolist(), data["objective"].tolist(), strict=True))
    assert {elite.cell: elite.fitness for elite in archive} == expected
    assert {e.cell: e.key for e in archive} == dict(
        zip(data["index"].tolist(), data["solution"][:, 0].astype(int).tolist(), strict=True)
    )
    stats = archive.stats()
    assert stats.num_elites == theirs.num_elites
    assert stats.coverage == pytest.approx(theirs.coverage)
    assert stats.qd_score == pytest.approx(theirs.qd_score)
    assert stats.norm_qd_score == pytest.approx(theirs.norm_qd_score)
    assert stats.best == pytest.approx(theirs.obj_max)
    assert stats.mean == pytest.approx(theirs.obj_mean)


def test_uniform_additions_reach_the_qd_score_measured_with_pyribs() -> None:
    """The figure is that of pyribs' add_single on the same data; see benchmarks/README.md."""
    assert _qd_score_of_uniform_additions(50_000) == pytest.approx(7995.376, abs=5e-4)


@pytest.mark.slow
def test_a_million_uniform_additions_reach_the_qd_score_measured_with_pyribs() -> None:
    assert _qd_score_of_uniform_additions(1_000_000) == pytest.approx(9898.384, abs=5e-4)


def _qd_score_of_uniform_additions(count: int) -> float:
    rng = np.random.default_rng(0)
    measures, objectives = rng.random((1_000_000, 2)), rng.random(1_000_000)
    archive = GridArchive([Measure("x", 0, 1, 100), Measure("y", 0, 1, 100)])
    offers = zip(measures[:count].tolist(), objectives[:count].tolist(), strict=True)
    for key, ((x, y), fitness) in enumerate(offers):
        archive.add(key, fitness, {"x": x, "y": y})
    return archive.stats().qd_score


def test_equal_fitness_keeps_the_incumbent() -> None:
    archive = GridArchive([X])
    archive.add(1, 2.0, {"x": 0.0})
    result = archive.add(2, 2.0, {"x": 0.0})
    assert result.status is AddStatus.NOT_ADDED
    assert result.improvement == 0.0
    assert archive.best == Elite(1, 1, 2.0, (0.0,))


def test_statuses_are_ordered_by_success() -> None:
    assert AddStatus.NOT_ADDED < AddStatus.IMPROVE_EXISTING < AddStatus.NEW


def test_measures_are_kept_as_given_and_further_names_are_ignored() -> None:
    archive = GridArchive([X, Y])
    archive.add(1, 0.0, {"z": 5.0, "y": 99.0, "x": 0.5})
    assert archive.elites() == [Elite(key=1, cell=1 * 3 + 2, fitness=0.0, measures=(0.5, 99.0))]
    assert archive.clipped == {"x": (0, 0), "y": (0, 1)}


def test_a_value_on_the_upper_bound_belongs_to_the_last_cell_and_is_not_clipped() -> None:
    archive = GridArchive([X, Y])
    assert archive.add(1, 0.0, {"x": 3.0, "y": 10.0})[1:] == (11, 0.0, (), ())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_and_change_nothing(bad: float) -> None:
    archive = GridArchive([X, Y])
    with pytest.raises(ValueError, match="fitness"):
        archive.add(1, bad, {"x": 0.0, "y": 0.0})
    with pytest.raises(ValueError, match="measure y"):
        archive.add(1, 1.0, {"x": 99.0, "y": bad})
    with pytest.raises(ValueError, match="measure y"):
        archive.cell_of({"x": 0.0, "y": bad})
    assert len(archive) == 0
    assert archive.clipped == {"x": (0, 0), "y": (0, 0)}


def test_a_missing_measure_is_named_with_those_given() -> None:
    with pytest.raises(ValueError, match="the measure y is missing; given: x, z"):
        GridArchive([X, Y]).add(1, 1.0, {"x": 0.0, "z": 1.0})


@pytest.mark.parametrize("measures", [[], [X, X]])
def test_axes_need_distinct_names(measures: list[Measure]) -> None:
    with pytest.raises(ValueError, match="distinct names"):
        GridArchive(measures)


def test_a_map_with_more_cells_than_an_index_can_count_is_refused() -> None:
    side = math.isqrt(sys.maxsize) + 1
    with pytest.raises(ValueError, match="too many"):
        GridArchive([Measure("a", 0, 1, side), Measure("b", 0, 1, side)])


def test_a_huge_sparse_map_takes_memory_for_its_elites_only() -> None:
    archive = GridArchive([Measure(name, 0, 1, 1000) for name in "abcde"])
    archive.add(1, 1.0, dict.fromkeys("abcde", 1.0))
    assert archive.cells == 10**15
    assert archive.positions() == pytest.approx(np.full((1, 5), 0.9995))


def test_cells_can_be_looked_up() -> None:
    archive = GridArchive([X, Y])
    result = archive.add(9, 1.0, {"x": 2.9, "y": 4.0})
    assert archive.cell_of({"x": 2.9, "y": 4.0}) == result.cell == 10
    assert archive.occupants(10) == (archive.best,)
    assert archive.occupants(0) == ()
    assert archive.cells == 12


def test_lists_handed_out_are_the_callers_own() -> None:
    archive = archive_of([(1.0, 0.0, 0.0)])
    archive.elites().clear()
    assert len(archive) == len(archive.elites()) == 1
    with pytest.raises(ValueError, match="read-only"):
        archive.positions()[0, 0] = 5.0


def test_positions_are_cell_centres_in_a_unit_cube_and_follow_additions() -> None:
    archive = archive_of([(0.0, -0.9, 9.9)])
    assert archive.positions().tolist() == pytest.approx(np.array([[1 / 8, 5 / 6]]))
    assert archive.positions() is archive.positions()
    archive.add(1, 1.0, {"x": 2.9, "y": 0.0})
    assert archive.positions() == pytest.approx(np.array([[7 / 8, 1 / 6], [1 / 8, 5 / 6]]))


def test_an_empty_archive_has_statistics() -> None:
    assert tuple(GridArchive([X, Y]).stats()) == (0, 0.0, 0.0, 0.0, None, None)


def test_the_qd_score_counts_from_the_offset() -> None:
    stats = archive_of([(-0.5, 0.0, 0.0), (1.5, 2.5, 0.0)], offset=-2.0).stats()
    assert stats._asdict() == {
        "num_elites": 2,
        "coverage": 2 / 12,
        "qd_score": 1.5 + 3.5,
        "norm_qd_score": 5 / 12,
        "best": 1.5,
        "mean": 0.5,
    }


def test_sums_of_enormous_values_do_not_raise() -> None:
    archive = archive_of([(1.7e308, 0.0, 0.0), (1.7e308, 2.5, 0.0)])
    assert archive.stats().qd_score == math.inf
