"""What counts as the same behaviour."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.values import Value
from evolve.evaluate.behaviour import digest_of, signature_of
from evolve.sandbox import wire

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=PLAIN)
def test_data_that_went_over_the_wire_is_the_same_data(value: Value) -> None:
    assert digest_of(wire.loads(wire.dumps(value))) == digest_of(value)


def test_the_order_of_keys_does_not_matter_and_that_of_items_does() -> None:
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (True, 1),
        (0.0, -0.0),
        (1.0, math.nextafter(1.0, 2.0)),
        ("1", 1),
        (None, "None"),
        ([1, [2]], [1, 2]),
        ([["a"], "b"], [["a", "b"]]),
        (["ab"], ["a", "b"]),
        ({"a": {"b": 1}}, {"a": 1, "b": {}}),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(2, np.float32), np.zeros(2)),
        (np.array([1, 2]), [1, 2]),
    ],
)
def test_other_data_is_other_behaviour(one: Value, other: Value) -> None:
    assert digest_of(one) != digest_of(other)


def test_arrays_count_by_what_they_hold_not_by_how() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert digest_of(np.asfortranarray(array)) == digest_of(array)
    assert digest_of(array[::-1][::-1]) == digest_of(array)


def test_data_nested_deeply_has_a_digest() -> None:
    nested: Value = 1
    for _ in range(100_000):
        nested = [nested]
    assert len(digest_of(nested)) == 64


def test_a_signature_depends_on_every_case_and_their_order() -> None:
    one, two = digest_of(1), digest_of(2)
    assert len({signature_of(each) for each in ([one, two], [two, one], [one], [one, one])}) == 4
