import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ribs.archives import GridArchive

from evolve.core.measures import Measure, Objective

BOUNDS = st.floats(-1e6, 1e6)


@st.composite
def measures(draw: st.DrawFn) -> Measure:
    low = draw(BOUNDS)
    high = low + draw(st.floats(1e-3, 1e6))
    return Measure("m", low, high, draw(st.integers(1, 60)))


@given(measures(), st.data())
def test_cells_are_those_of_pyribs(measure: Measure, data: st.DataObject) -> None:
    archive = GridArchive(
        solution_dim=1,
        dims=[measure.cells],
        ranges=[(measure.low, measure.high)],
        measures_dtype=np.float64,
    )
    span = measure.high - measure.low
    anywhere = st.floats(measure.low - span, measure.high + span)
    values = data.draw(st.lists(anywhere | st.sampled_from(measure.edges()), min_size=1))
    theirs = archive.index_of(np.array(values)[:, None])
    assert [measure.locate(value).cell for value in values] == theirs.tolist()


@pytest.mark.parametrize(
    ("value", "cell", "clipped"),
    [
        (0.0, 0, False),
        (0.999, 0, False),
        (1.0, 1, False),
        (10.0, 9, False),
        (10.5, 9, True),
        (-1e300, 0, True),
        (1e300, 9, True),
    ],
)
def test_values_out_of_range_are_clipped_and_say_so(
    value: float, cell: int, *, clipped: bool
) -> None:
    assert Measure("m", 0.0, 10.0, 10).locate(value) == (cell, clipped)


@given(measures())
def test_every_lower_edge_belongs_to_its_cell(measure: Measure) -> None:
    edges = measure.edges()
    assert len(edges) == measure.cells + 1
    assert (edges[0], edges[-1]) == (measure.low, measure.high)
    assert edges == sorted(edges)
    assert not any(measure.locate(edge).clipped for edge in edges)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="measure m is"):
        Measure("m", 0, 1, 2).locate(value)


@pytest.mark.parametrize(
    ("low", "high", "cells", "message"),
    [
        (1.0, 1.0, 5, "must be below"),
        (2.0, 1.0, 5, "must be below"),
        (math.nan, 1.0, 5, "must be below"),
        (0.0, math.inf, 5, "must be below"),
        (0.0, 1.0, 0, "at least 1"),
    ],
)
def test_bad_measures_are_refused(low: float, high: float, cells: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measure("m", low, high, cells)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_better_is_strict_and_follows_the_direction(a: float, b: float) -> None:
    up, down = Objective("o"), Objective("o", direction="minimize")
    assert up.better(a, b) == (a > b)
    assert down.better(a, b) == (a < b)
    assert up.fitness(up.fitness(a)) == a == down.fitness(down.fitness(a))
