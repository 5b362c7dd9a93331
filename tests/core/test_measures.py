import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ribs.archives import GridArchive

from evolve.core.measures import Measure, Objective, Spacing

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
    place = Measure("m", 0.0, 10.0, 10).locate(value)
    assert (place.cell, place.clipped) == (cell, clipped)
    assert place.side == (value > 10) - (value < 0)


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


@st.composite
def spaced(draw: st.DrawFn) -> Measure:
    """Return an axis of any scale."""
    scale: Spacing = draw(st.sampled_from(["linear", "log", "sqrt", "quantile"]))
    low = draw(st.floats(1e-3, 100.0))
    measure = Measure("m", low, low + draw(st.floats(0.5, 1e4)), draw(st.integers(1, 30)), scale)
    if scale == "quantile" and draw(st.booleans()):
        return measure.cut(draw(st.lists(st.floats(-10.0, 1e4), max_size=40)))
    return measure


@given(spaced(), st.data())
def test_a_value_lies_between_the_edges_of_its_cell(measure: Measure, data: st.DataObject) -> None:
    edges = measure.edges()
    assert edges == sorted(edges)
    assert (edges[0], edges[-1], len(edges)) == (measure.low, measure.high, measure.cells + 1)
    exact = measure.scale != "linear" and (measure.scale != "quantile" or measure.settled)
    slack = 0.0 if exact else 1e-6  # pyribs' convention shifts equal cells by so much
    value = data.draw(st.floats(measure.low, measure.high) | st.sampled_from(edges))
    cell = measure.locate(value).cell
    assert edges[cell] - slack <= value <= edges[cell + 1]
    assert value < edges[cell + 1] or cell == measure.cells - 1


@given(spaced(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_fractions_and_values_undo_each_other_and_keep_the_order(
    measure: Measure, a: float, b: float
) -> None:
    widths = np.diff(measure.edges())
    assume(widths.min() > 1e-5)  # in a narrower one, cut by chance, floats are too few
    first, second = measure.value(a), measure.value(b)
    assert measure.low <= first <= measure.high
    assert measure.fraction(first) == pytest.approx(a, abs=1e-6)
    assert (measure.fraction(first) <= measure.fraction(second) + 1e-12) or first > second
    assert measure.fraction(measure.low - 1) == 0
    assert measure.fraction(measure.high + 1) == 1


@pytest.mark.parametrize(
    ("scale", "low", "high", "edges"),
    [
        ("log", 1.0, 1000.0, [1.0, 10.0, 100.0, 1000.0]),
        ("sqrt", 0.0, 9.0, [0.0, 1.0, 4.0, 9.0]),
        ("quantile", 0.0, 9.0, [0.0, 3.0, 6.0, 9.0]),  # equal until it is cut
    ],
)
def test_edges_are_equally_spaced_on_the_scale(
    scale: Spacing, low: float, high: float, edges: list[float]
) -> None:
    assert Measure("m", low, high, 3, scale).edges() == pytest.approx(edges)


@given(st.lists(st.floats(0.0, 100.0), min_size=20, max_size=200, unique=True))
def test_quantile_cells_hold_about_equally_many(values: list[float]) -> None:
    measure = Measure("m", 0.0, 100.0, 4, "quantile").cut(values)
    counts = np.bincount([measure.locate(value).cell for value in values], minlength=4)
    assert measure.cells == 4
    assert counts.max() - counts.min() <= 2


def test_quantile_cells_of_few_distinct_values_are_fewer() -> None:
    measure = Measure("m", 0.0, 9.0, 10, "quantile")
    assert not measure.settled
    cut = measure.cut([2.0] * 50 + [3.0] * 50 + [99.0])
    assert cut.settled
    assert cut.edges() == [0.0, 2.0, 3.0, 9.0]
    assert measure.cut([5.0, 0.0, 0.0, 0.0, 0.0, 0.0]).cells >= 1
    assert measure.cut([]).edges() == [0.0, 9.0]
    assert measure.cut([]).locate(4.0).cell == 0


@given(spaced())
def test_an_axis_survives_json(measure: Measure) -> None:
    assert Measure.from_dict(json.loads(json.dumps(measure.as_dict()))) == measure


@pytest.mark.parametrize(
    ("scale", "low", "message"),
    [
        ("log", 0.0, "scale log needs low above 0, it is 0; use sqrt or linear, or raise low"),
        ("sqrt", -1.0, "scale sqrt needs low at least 0, it is -1"),
    ],
)
def test_bounds_must_suit_the_scale(scale: Spacing, low: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measure("m", low, 1.0, 3, scale)


@pytest.mark.parametrize("breaks", [(1.0,), (2.0, 1.0), (0.0, 1.0), (1.0, 9.0)])
def test_edges_must_part_the_cells(breaks: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="do not part 3 cells"):
        Measure("m", 0.0, 9.0, 3, "quantile", breaks)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_better_is_strict_and_follows_the_direction(a: float, b: float) -> None:
    up, down = Objective("o"), Objective("o", direction="minimize")
    assert up.better(a, b) == (a > b)
    assert down.better(a, b) == (a < b)
    assert up.fitness(up.fitness(a)) == a == down.fitness(down.fitness(a))
