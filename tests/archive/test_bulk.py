"""Offers found out about in bulk are those that enter when they are made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.archive.base import AddStatus, Archive
from evolve.archive.bulk import contenders
from evolve.archive.spec import ArchiveSpec
from evolve.core.measures import Measure, Spacing

#: Few different numbers, so that cells, edges and equal fitness are met often.
VALUES = st.sampled_from([-2.0, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1e-7, 1.5, 3.0])


def entered(
    archive: Archive, fitness: list[float], measures: list[tuple[float, float]]
) -> set[int]:
    """Return the offers that enter, all being made."""
    names = [axis.name for axis in archive.measures]
    return {
        number
        for number, (worth, point) in enumerate(zip(fitness, measures, strict=True))
        if archive.add(number, worth, dict(zip(names, point, strict=True))).status
        is not AddStatus.NOT_ADDED
    }


@given(
    offers=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=60),
    scale=st.sampled_from(["linear", "sqrt"]),
    cells=st.integers(1, 5),
)
def test_a_grid_of_one_elite_a_cell_takes_exactly_the_contenders(
    offers: list[tuple[float, float, float]], scale: Spacing, cells: int
) -> None:
    spec = ArchiveSpec((Measure("a", 0.0, 1.0, cells, scale), Measure("b", -1.0, 2.0, 3)))
    fitness, points = [each[0] for each in offers], [each[1:] for each in offers]
    found = contenders(spec.build(), np.array(fitness), np.array(points).reshape(-1, 2))
    assert found.tolist() == sorted(entered(spec.build(), fitness, points))


@given(st.lists(st.floats(-10, 10), min_size=1), st.sampled_from(["linear", "log", "quantile"]))
def test_many_values_fall_into_the_cells_that_each_falls_into(
    values: list[float], scale: Spacing
) -> None:
    axis = Measure("a", 0.5, 4.0, 7, scale)
    if scale == "quantile":
        axis = axis.cut([0.6, 0.7, 0.9, 1.5, 2.0, 3.5])
    assert axis.cells_of(np.array(values)).tolist() == [axis.cell(value) for value in values]


@pytest.mark.parametrize("spec", [{"depth": 2}, {"kind": "novelty"}])
def test_other_archives_have_to_be_made_every_offer(spec: dict[str, object]) -> None:
    archive = ArchiveSpec((Measure("a", 0.0, 1.0, 2),), **spec).build()  # type: ignore[arg-type]  # as named
    assert contenders(archive, np.zeros(3), np.zeros((3, 1))).tolist() == [0, 1, 2]


def test_numbers_that_no_archive_takes_are_refused() -> None:
    archive = ArchiveSpec((Measure("a", 0.0, 1.0, 2),)).build()
    with pytest.raises(ValueError, match="NaN or infinite"):
        contenders(archive, np.array([0.0, np.nan]), np.zeros((2, 1)))
