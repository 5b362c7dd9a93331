"""YAML 1.2: scalars, refusals with positions, and the way back."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from evolve.config.source import Mark
from evolve.config.yaml12 import MAX_DEPTH, MAX_NODES, dump, parse, parse_value
from evolve.core.errors import ConfigError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            TEXT.filter(lambda key: key != "<<"),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("-0.0", -0.0),
        ("012", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2026-11-24", "2026-11-24"),
        ("=", "="),
        ("tRUE", "tRUE"),
        ("'1'", "1"),
        ('"null"', "null"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: JsonValue) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", "1e999"])
def test_infinity_is_read_as_a_float_for_the_schema_to_refuse(text: str) -> None:
    found = parse_value(text)
    assert isinstance(found, float)
    assert math.isinf(found)


def test_nan_is_read_as_a_float_for_the_schema_to_refuse() -> None:
    found = parse_value(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@given(st.integers())
def test_every_integer_reads_as_itself(number: int) -> None:
    assert parse_value(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_as_itself(number: float) -> None:
    found = parse_value(repr(number))
    assert isinstance(found, float)
    assert found.hex() == number.hex()


@given(JSON)
def test_what_is_written_reads_back_unchanged(data: JsonValue) -> None:
    assert repr(parse(dump(data), "x").data) == repr(data)


@given(st.text())
def test_any_text_is_data_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        assert parse(text, "x.yaml").text == text


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "duplicate key 'a', first at line 1 column 1"),
        ("a:\n  x: 1\n  x: 1\n", (3, 3), "duplicate key 'x', first at line 2 column 3"),
        ("a:\n\tb: 1\n", (2, 1), "tab"),
        ("a: [1, 2\nb: 3\n", (2, 2), "expected ',' or ']'"),
        ("a: 'open\n", (2, 1), "end of stream"),
        ("a: &x {k: 1}\nb:\n  <<: *x\n", (3, 3), "no merge keys"),
        ("a: *nope\n", (1, 4), "undefined alias"),
        ("a: &x [*x]\n", (1, 4), "inside what it refers to"),
        ("a: !!python/object:os.system {}\n", (1, 4), "not supported"),
        ("a: !!set {x: null}\n", (1, 4), "not supported"),
        ("a: !mine 3\n", (1, 4), "not supported"),
        ("a: !!int three\n", (1, 4), "not a valid int"),
        ("a: !!bool yes\n", (1, 4), "not a valid bool"),
        ("1: x\n", (1, 1), "quote it: '1'"),
        ("true: x\n", (1, 1), "quote it: 'true'"),
        ("? [a, b]\n: 1\n", (1, 3), "a key must be text"),
        ("a: 1\n---\nb: 2\n", (2, 1), "another document"),
        ("a: 1\nb: \x07\n", (2, 4), "U+0007"),
        ('a: "\\ud800"\n', (1, 4), "not a valid str"),
        ('a: "\\0"\n', (1, 4), "not a valid str"),
        ('"\\ud800": 1\n', (1, 1), "not a valid str"),
        (f"a: {'9' * 5000}\n", (1, 4), "not a valid int"),
        ("a: " + "[" * 500 + "\n", (1, 2 + MAX_DEPTH), "nested too deeply"),
    ],
)
def test_errors_name_the_place(text: str, position: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == position
    assert str(caught.value).startswith(f"f.yaml:{position[0]}:{position[1]}: ")


def test_aliases_stand_for_what_they_name() -> None:
    assert parse("a: &x {k: [1]}\nb: *x\n", "f").data == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_aliases_expand_to_a_bounded_amount() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match="too much data"):
        parse("\n".join(lines), "bomb.yaml")


def test_a_document_just_within_the_bound_is_read() -> None:
    data = parse("[" + "1," * (MAX_NODES - 1) + "]", "f").data
    assert isinstance(data, list)
    assert len(data) == MAX_NODES - 1


def test_places_of_keys_and_values_are_kept() -> None:
    source = parse("a:\n  - b: 1\n    c: x\n", "f")
    assert source.keys["a", 0, "c"] == Mark(3, 5)
    assert source.values["a", 0, "c"] == Mark(3, 8)
    assert source.mark_of(("a", 0, "missing")) == Mark(2, 5)


@pytest.mark.parametrize("text", ["a: b", "- a", "a: [b]"])
def test_a_value_on_the_command_line_is_a_scalar_or_in_flow_style(text: str) -> None:
    with pytest.raises(ConfigError, match="quote"):
        parse_value(text)
