"""Frames and values round-trip, and what is malformed is an error and nothing else."""

from __future__ import annotations

import json
import math
import struct
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evolve.core.evaluation import Outcome
from evolve.sandbox import wire
from evolve.sandbox.wire import FrameReader, FrameTooLarge, Kind, WireError

DTYPES = [*sorted(wire.DTYPES), ">i4", ">f8", ">c16"]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("$abc\u00e9", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(
            isinstance(b, np.ndarray)
            and a.shape == b.shape
            and a.dtype.newbyteorder("=") == b.dtype
            and a.astype(b.dtype).tobytes() == b.tobytes()
        )
    if isinstance(a, Mapping):
        return (
            isinstance(b, dict)
            and a.keys() == b.keys()
            and all(same(v, b[k]) for k, v in a.items())
        )
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def there_and_back(value: Any) -> Any:
    return wire.loads(wire.dumps(value))


@given(values)
@settings(deadline=None)
def test_values_round_trip(value: Any) -> None:
    assert same(value, there_and_back(value))


@given(values, st.data())
@settings(deadline=None, max_examples=300)
def test_mutated_values_raise_nothing_but_wire_errors(value: Any, data: st.DataObject) -> None:
    message = bytearray(wire.dumps(value))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(message) - 1))
        message[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    for mutant in (bytes(message), bytes(message[:cut])):
        with suppress(WireError):
            wire.loads(mutant)


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_wire_errors(text: bytes) -> None:
    for message in (text, struct.pack(">I", len(text)) + text):
        with suppress(WireError):
            wire.loads(message)


def with_text(text: str, tail: bytes = b"") -> bytes:
    return struct.pack(">I", len(text)) + text.encode() + tail


HOSTILE = {
    "nested without end": with_text("[" * 5_000_000),
    "nested": with_text("[" * 100 + "]" * 100),
    "dictionaries": with_text("{" + '"a":{' * 100_000),
    "digits": with_text("9" * 3_000_000),
    "elements": with_text("[" + "[]," * 5_000_000 + "[]]"),
    "terabytes": with_text('{"$":["<f8",[1000000000,1000000000]]}'),
    "array too short": with_text('{"$":["<f8",[2]]}', bytes(8)),
    "array too long": with_text('{"$":["<f8",[1]]}', bytes(16)),
    "negative size": with_text('{"$":["<f8",[-1]]}', bytes(8)),
    "fractional size": with_text('{"$":["<f8",[1.0]]}', bytes(8)),
    "boolean size": with_text('{"$":["<f8",[true]]}', bytes(8)),
    "huge empty": with_text('{"$":["<f8",[0,99999999999]]}'),
    "objects": with_text('{"$":["|O8",[1]]}', bytes(8)),
    "dates": with_text('{"$":["<M8[s]",[1]]}', bytes(8)),
    "dtype is a list": with_text('{"$":[["<f8"],[1]]}', bytes(8)),
    "no array": with_text('{"$":1}'),
    "array and more": with_text('{"$":["<f8",[1]],"b":1}', bytes(8)),
    "surrogate": with_text('"\\ud800"'),
    "surrogate key": with_text('{"\\ud800":1}'),
    "lying length": b"\xff\xff\xff\xff{}",
    "no text": b"\0\0\0\x02\xff\xfe",
    "empty": b"",
    "short": b"abc",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_are_refused_quickly(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(WireError):
        wire.loads(HOSTILE[name])
    assert time.monotonic() - began < 2.0


NOT_PLAIN: dict[str, Any] = {
    "object": object(),
    "complex": 1j,
    "integer key": {1: 2},
    "set": {"a": {3}},
    "bytes": b"bytes",
    "long integer": 10**5000,
    "array of texts": np.array(["text"]),
    "array of objects": np.array([object()]),
    "date": np.datetime64("2020-01-01"),
    "long double": np.longdouble(1),
    "records": np.zeros(1, dtype=[("a", "f8")]),
    "function": print,
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_data_is_not_encoded(name: str) -> None:
    with pytest.raises(WireError):
        wire.dumps(NOT_PLAIN[name])


def test_a_value_that_holds_itself_is_not_encoded() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(WireError, match="deeper"):
        wire.dumps(loop)


def test_relatives_of_plain_data_become_plain() -> None:
    class Colour(IntEnum):
        RED = 3

    value: Any = {
        "tuple": (1, 2),
        "ordered": OrderedDict(a=1),
        "proxy": MappingProxyType({"b": 2}),
        "enum": Colour.RED,
        "float": np.float64(1.5),
        "bool": np.bool_(True),
        "text": np.str_("x"),
    }
    assert there_and_back(value) == {
        "tuple": [1, 2],
        "ordered": {"a": 1},
        "proxy": {"b": 2},
        "enum": 3,
        "float": 1.5,
        "bool": True,
        "text": "x",
    }


def test_floats_that_are_no_numbers_arrive_as_floats() -> None:
    nan, up, down = there_and_back([math.nan, math.inf, -math.inf])
    assert math.isnan(nan)
    assert (up, down) == (math.inf, -math.inf)


def test_a_dictionary_cannot_pass_for_an_array() -> None:
    value: Any = {"$": ["<f8", [1]], "$$": {"$": 1}}
    assert there_and_back(value) == value


def test_booleans_from_other_bytes_are_true() -> None:
    array = wire.loads(with_text('{"$":["|b1",[3]]}', b"\x00\x01\xff"))
    assert isinstance(array, np.ndarray)
    assert array.view(np.uint8).tolist() == [0, 1, 1]


def test_arrays_arrive_writable_and_aligned() -> None:
    array = there_and_back([np.arange(3.0), np.arange(2, dtype=np.int8), np.arange(3.0)])[2]
    array[0] = 7
    assert array.flags.aligned


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=50))), st.integers(1, 40))
def test_frames_round_trip_however_they_are_cut(
    frames: list[tuple[Kind, bytes]], step: int
) -> None:
    stream = b"".join(wire.pack(kind, body) for kind, body in frames)
    reader, found = FrameReader(50), []
    for start in range(0, len(stream), step):
        found += reader.feed(stream[start : start + step])
    assert found == frames
    assert not reader.partial


def test_a_lying_length_is_refused_by_the_header_alone() -> None:
    with pytest.raises(FrameTooLarge):
        FrameReader(1000).feed(wire.HEADER.pack(Kind.VALUE, 1 << 60))


@given(st.binary(min_size=wire.HEADER.size, max_size=300))
def test_any_stream_raises_nothing_but_wire_errors(stream: bytes) -> None:
    with suppress(WireError):
        FrameReader(100).feed(stream)


@given(st.text(max_size=20), st.binary(max_size=20))
def test_calls_round_trip(function: str, inputs: bytes) -> None:
    assert wire.unpack_call(wire.pack_call(function, inputs)) == (function, inputs)


def test_every_outcome_on_the_wire_is_one_of_ours() -> None:
    assert len({Outcome(word) for word in wire.OUTCOMES}) == len(wire.OUTCOMES)


def test_text_is_json_so_that_others_can_read_it() -> None:
    data = wire.dumps({"a": [1, None]})
    assert json.loads(data[4:]) == {"a": [1, None]}
