"""Tampered outputs and hostile programs, without running anything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evolve.core.program import Program
from evolve.core.values import Value
from evolve.evaluate.hostile import tamperings
from evolve.evaluate.impostors import impostors
from evolve.sandbox import wire

HONEST: dict[str, Value] = {
    "a list of rows": [[0.5, 0.0], [0.25, 0.75]],
    "integers": [3, 1, 2],
    "an array": np.array([[0.5, 0.0], [0.25, 0.75]]),
    "an array of integers": np.array([3, 1, 2]),
    "a dictionary": {"x": [1.5, 2.5], "name": "best"},
    "a number": 1.5,
    "text": "yes",
    "nothing": None,
    "no element": [],
    "an empty array": np.zeros((0, 3)),
}


@pytest.mark.parametrize("honest", HONEST.values(), ids=HONEST.keys())
def test_whatever_is_tampered_with_can_be_sent_and_the_honest_output_stays(honest: Value) -> None:
    before = wire.dumps(honest)
    for tampering in tamperings():
        wire.loads(wire.dumps(tampering.apply(honest)))
        assert wire.dumps(honest) == before, tampering.name


@pytest.mark.parametrize(
    ("name", "honest", "expected"),
    [
        ("numbers as text", [1, [2.5]], ["1", ["2.5"]]),
        ("true for every number", {"a": 1, "b": "x"}, {"a": True, "b": "x"}),
        ("infinity in one number", [[1, 2], [3, 4]], [[math.inf, 2], [3, 4]]),
        ("one element more", [1, 2], [1, 2, 2]),
        ("one element fewer", [1, 2], [1]),
        ("minus zero for zero", [0.0, 1.0, 0], [-0.0, 1.0, 0]),
        ("the first number everywhere", [[1, 2], [3, 4]], [[1, 1], [1, 1]]),
        ("in reverse order", [1, 2, 3], [3, 2, 1]),
        ("floats times 1 + 1e-9", [2.0, 3], [2.0 * (1 + 1e-9), 3]),
        ("floats plus 1e-9", {"a": [2.0]}, {"a": [2.0 + 1e-9]}),
        ("the answer in a list", 1, [1]),
    ],
)
def test_what_tampering_does(name: str, honest: Value, expected: Value) -> None:
    (tampering,) = [each for each in tamperings() if each.name == name]
    assert repr(tampering.apply(honest)) == repr(expected)


def test_not_a_number_reaches_arrays_of_integers() -> None:
    (tampering,) = [each for each in tamperings() if each.name == "NaN in one number"]
    tampered = tampering.apply(np.array([[1, 2], [3, 4]]))
    assert isinstance(tampered, np.ndarray)
    assert math.isnan(tampered[0, 0])
    assert tampered[1].tolist() == [3, 4]


def _play(program: Program, *answers: object) -> list[object]:
    """Load an impostor here - its source is this test's own - and call it."""
    names: dict[str, object] = {}
    exec(program.files["seed.py"], names)
    return [names["f"](each) for each in answers]  # type: ignore[operator]  # a function


SEED = Program({"seed.py": "def f(x):\n    return sum(x)\n"})


def test_impostors_do_what_they_say() -> None:
    ruins, repeats, clocks, claims, sleeps = impostors(SEED, "f", spare_s=0.0)
    given = [1, 2]
    assert _play(ruins.program, given) == [3]
    assert given == []
    assert _play(repeats.program, [1], [2]) == [1, 1]
    assert _play(claims.program, [5]) == [5]
    assert _play(sleeps.program, [5], [6]) == [5, 6]
    assert "perf_counter" in clocks.program.files["seed.py"]


def test_an_impostor_takes_the_place_of_a_function_in_one_of_many_files() -> None:
    program = Program({"a.py": "x = 1\n", "lib/b.py": "def g():\n    return 1\n"})
    for impostor in impostors(program, "lib/b.py:g", spare_s=3.0):
        assert impostor.program.files["a.py"] == "x = 1\n"
        assert impostor.program.files["lib/b.py"].endswith("\ng = _disguise(g)\n")
