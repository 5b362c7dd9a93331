"""``--set``: what it changes, and how it fails."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from evolve.config.file import load_run_config
from evolve.config.overrides import apply_overrides
from evolve.config.yaml12 import parse
from evolve.core.errors import ConfigError

TEXT = """\
problem: bins
models:
  - {id: openai/a, price: null}
  - {id: openai/b}
proposers: [{kind: genetic}]
stop: {evaluations: 10}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(TEXT)
    return file


def test_values_lists_and_missing_sections_can_be_set(path: Path) -> None:
    config = load_run_config(
        path,
        [
            "stop.evaluations=1",
            "models.1.temperature=2e-1",
            "models.0.price.input=1",
            "models.0.price.output=2",
            "archive.measures=[{name: length, low: 0, high: 9}]",
            "sandbox.kind=docker",
            "name=a=b",
            "stop.evaluations=20",
        ],
    ).config
    assert config.stop.evaluations == 20
    assert config.models[1].temperature == 0.2
    assert config.models[0].price is not None
    assert config.models[0].price.output == 2.0
    assert config.archive.measures is not None
    assert config.archive.measures[0].name == "length"
    assert config.sandbox.kind == "docker"
    assert config.name == "a=b"


def test_nothing_after_the_equals_sign_is_null(path: Path) -> None:
    assert load_run_config(path, ["stop.evaluations=", "stop.wall_s=3"]).config.stop.wall_s == 3.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stop.evaluatons=3", "unknown key 'evaluatons' in stop; did you mean 'evaluations'?"),
        ("archiv.measures=[]", "unknown key 'archiv'; did you mean 'archive'?"),
        ("slots=0", "slots must be greater than or equal to 1, not 0"),
        ("slots=many", 'slots must be a valid integer, not "many"'),
        ("models.0.temperature=.nan", "models.0.temperature must be a finite number"),
        ("models.2.id=x", "models has no entry 2; known: 0, 1"),
        ("models.-1.id=x", "models has no entry -1; "),
        ("models.first.id=x", "models has no entry first; "),
        ("models.00.id=x", "models has no entry 00; "),
        ("archive.measures.0.name=x", "archive.measures has no entry 0"),
        ("problem.name=x", "problem is a value, it has no 'name'"),
        ("slots", "write it as KEY.KEY=VALUE"),
        ("=3", "write it as KEY.KEY=VALUE"),
        ("stop..wall_s=3", "write it as KEY.KEY=VALUE"),
        ("slots=[1", "the value is not YAML: "),
        ("name=a: b", "the value is not YAML: quote text"),
        ("sandbox={kind: docker, imge: x}", "unknown key 'imge' in sandbox; did you mean 'image'?"),
        ("models.0={temperature: 1}", "missing key 'id' in models.0"),
        ("archive.measures=[]", "archive.measures needs at least 1 entry"),
    ],
)
def test_a_mistake_names_the_override(path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(path, ["seed=1", override])
    assert str(caught.value).startswith(f"--set {override}: ")
    assert message in str(caught.value)


def test_a_mistake_in_the_file_is_not_blamed_on_an_override_beside_it(path: Path) -> None:
    path.write_text(TEXT.replace("{evaluations: 10}", "{evaluation: 10}"))
    with pytest.raises(ConfigError, match=r"c\.yaml:6:8: unknown key 'evaluation' in stop"):
        load_run_config(path, ["stop.wall_s=3"])


def test_a_mistake_in_a_section_of_the_file_is_shown_there(path: Path) -> None:
    path.write_text(TEXT.replace("{evaluations: 10}", "{fruitless: 5}"))
    with pytest.raises(ConfigError, match=r"c\.yaml:6:7: stop: say when to stop"):
        load_run_config(path, ["stop.fruitless=3"])
    path.write_text(TEXT.replace("stop: {evaluations: 10}", ""))
    with pytest.raises(ConfigError, match=r"^--set stop.fruitless=3: stop: say when to stop"):
        load_run_config(path, ["stop.fruitless=3"])


@pytest.mark.parametrize("override", ["problem.api_key=hunter2", "api_key: hunter2"])
def test_a_refused_override_does_not_repeat_a_secret(path: Path, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(path, [override])
    assert "hunter2" not in str(caught.value)


keys = st.text("abcxyz_", min_size=1)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)


@given(st.lists(keys, min_size=1, max_size=4), scalars)
def test_any_path_of_keys_can_be_set(names: list[str], value: JsonValue) -> None:
    source = parse("{}", "f")
    text = {None: "null", True: "true", False: "false"}.get(value, repr(value))  # type: ignore[arg-type] # any hashable
    text = text.replace("inf", ".inf")
    where = apply_overrides(source, [f"{'.'.join(names)}={text}"])
    assert list(where) == [tuple(names)]
    here: JsonValue = source.data
    for name in names:
        assert isinstance(here, dict)
        here = here[name]
    assert here == value


@given(st.text(), st.text())
def test_any_text_is_applied_or_refused(document_value: str, override: str) -> None:
    source = parse("a: {b: [1, {c: 2}], d: x}", "f")
    source.data = {"a": {"b": [1, {"c": document_value}]}}
    for text in (override, f"a.b={override}", f"a.b.{override}=1", f"{override}=1"):
        with suppress(ConfigError):
            assert list(apply_overrides(source, [text]).values()) == [text]
