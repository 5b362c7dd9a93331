"""Round trips: lengths, measures, and everything that is refused."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve import Case, Invalid, Usage
from evolve.config.python_file import load_module

tour: Any = load_module(Path(__file__).parents[2] / "evaluators/tour.py")
SQUARE = Case({"x": [0, 300, 300, 0], "y": [0, 0, 400, 400]})


def score(output: object, case: Case = SQUARE) -> Any:
    return tour.RoundTrip().score(case, output, Usage())


def test_the_length_is_that_of_the_closed_trip() -> None:
    around, crossing = score([0, 1, 2, 3]), score(np.array([0, 2, 1, 3]))
    assert around.metrics["length"] == 1400.0
    assert crossing.metrics["length"] == 500 + 400 + 500 + 400
    expected = 0.7124 * 1_000_000 * 2
    assert around.objective == pytest.approx(100 * (1400 / expected - 1))
    assert around.measures == {"nearest_share": 1.0}
    assert crossing.measures == {"nearest_share": 0.0}


def test_where_a_trip_starts_and_which_way_it_goes_does_not_matter() -> None:
    [case] = tour.RoundTrip(sizes=(6,)).cases("search")
    lengths: dict[tuple[int, ...], set[float]] = {}
    for order in permutations(range(6)):
        start = order.index(0)
        turned = order[start:] + order[:start]
        key = min(turned, (0, *turned[:0:-1]))
        lengths.setdefault(key, set()).add(score(list(order), case).metrics["length"])
    assert len(lengths) == math.factorial(5) // 2
    assert all(len(found) == 1 for found in lengths.values())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "NoneType"),
        ([0, 1, 2], "there are 3 numbers, must be 4"),
        ([0, 1, 2, 2], "entry 3: city 2 comes twice"),
        ([0, 1, 2, 4], "entry 3 is 4"),
        ([0, 1, 2, -1], "entry 3 is -1"),
        ([0, 1, 2, 3.0], "entry 3 is a float"),
        ([False, True, 2, 3], "entry 0 is a bool"),
        ([0, 1, 2, "3"], "entry 3 is a str"),
        (np.zeros((4, 1)), "an array of shape"),
    ],
)
def test_what_is_no_trip_is_refused(output: object, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(output)


def test_maps_are_the_same_every_time_and_others_when_held_out() -> None:
    first, again = (list(tour.RoundTrip().cases("search")) for _ in range(2))
    assert [case.inputs for case in first] == [case.inputs for case in again]
    assert [len(case.inputs["x"]) for case in first] == [200, 200, 500, 1000]
    held_out = list(tour.RoundTrip().cases("held_out"))
    assert not any(a.inputs == b.inputs for a in first for b in held_out)
    with pytest.raises(ValueError, match="at least 3"):
        tour.RoundTrip(sizes=(2,))
