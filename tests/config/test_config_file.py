"""Configuration files: what loads, and what every mistake says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.config.file import (
    MAX_FILE_BYTES,
    config_hash,
    dump_yaml,
    load_problem_config,
    load_run_config,
)
from evolve.config.models import RunConfig, StopConfig
from evolve.core.errors import ConfigError

GOOD = """\
problem: bins
seed: 012
models:
  - id: openai/small
    temperature: 1e-1
    api_key_env: SOME_KEY
    price: {input: 1, output: 2.5}
proposers:
  - {kind: diff, weight: 3}
  - {kind: genetic}
stop: {evaluations: 100, wall_s: 60}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def _write(text: str) -> Path:
        Path("c.yaml").write_text(text, encoding="utf-8")
        return Path("c.yaml")

    return _write


def _fail(path: Path, overrides: Sequence[str] = ()) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_run_config(path, overrides)
    return caught.value


def test_a_good_file_becomes_a_frozen_model_with_defaults(write: Write) -> None:
    loaded = load_run_config(write(GOOD))
    assert loaded.config.seed == 12
    assert loaded.config.models[0].temperature == 0.1
    assert loaded.config.proposers[0].weight == 3.0
    assert loaded.config.selection.kind == "adaptive"
    assert loaded.folder == Path()
    with pytest.raises(ValueError, match="frozen"):
        loaded.config.seed = 3  # type: ignore[misc] # the point of the test


def test_an_unknown_key_shows_its_line_and_the_nearest_key(write: Write) -> None:
    text = GOOD.replace("evaluations", "evaluatoins")
    assert str(_fail(write(text))) == (
        "c.yaml:11:8: unknown key 'evaluatoins' in stop; did you mean 'evaluations'?\n"
        "    stop: {evaluatoins: 100, wall_s: 60}\n"
        "           ^"
    )


def test_a_key_like_no_other_lists_what_is_known(write: Write) -> None:
    error = _fail(write(GOOD + "archive:\n  qqq: 1\n"))
    assert "c.yaml:13:3: unknown key 'qqq' in archive; known: measures" in str(error)


@pytest.mark.parametrize(
    ("old", "new", "position", "message"),
    [
        ("seed: 012", "seed: -1", (2, 7), "seed must be greater than or equal to 0, not -1"),
        ("seed: 012", "seed: '3'", (2, 7), 'seed must be a valid integer, not "3"'),
        ("seed: 012", "seed: 1.5", (2, 7), "seed must be a valid integer, not 1.5"),
        ("seed: 012", "seed: true", (2, 7), "seed must be a valid integer, not true"),
        ("seed: 012", "slots: yes", (2, 8), 'slots must be a valid integer, not "yes"'),
        ("1e-1", ".nan", (5, 18), "models.0.temperature must be a finite number"),
        ("100", ".inf", (11, 21), "stop.evaluations must be"),
        ("60", "1e999", (11, 34), "stop.wall_s must be a finite number"),
        ("1e-1", "2.1", (5, 18), "models.0.temperature must be less than or equal to 2, not 2.1"),
        ("  - id: openai/small\n    temp", "  - temp", (4, 5), "missing key 'id' in models.0"),
        ("input: 1, ", "", (7, 12), "missing key 'input' in models.0.price"),
        ("stop: {", "#stop: {", (1, 1), "missing key 'stop'"),
        ("evaluations: 100, wall_s: 60", "fruitless: 3", (11, 7), "say when to stop"),
        ("kind: genetic", "kind: genetic, options: {a: [.inf]}", (10, 30), "must be finite"),
        ("kind: genetic", "kind: genetic, options: 3", (10, 30), "must be a mapping, not 3"),
        ("seed: 012", "interaction: never", (2, 14), "'auto', 'boundary' or 'harness'"),
        ("seed: 012", "problem: x", (2, 1), "duplicate key 'problem', first at line 1 column 1"),
        (
            "    price",
            "    base_url: localhost:80\n    price",
            (7, 15),
            "must start with http:// or https://",
        ),
    ],
)
def test_a_mistake_is_shown_where_it_is(
    write: Write, old: str, new: str, position: tuple[int, int], message: str
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    error = _fail(write(text))
    assert message in str(error)
    assert (error.path, error.line, error.column) == ("c.yaml", *position)
    assert error.source_line == text.splitlines()[position[0] - 1]


def test_all_mistakes_of_a_file_come_at_once_in_order(write: Write) -> None:
    text = GOOD.replace("wall_s: 60", "wall: 60").replace("seed: 012", "seeds: 1")
    error = _fail(write(text.replace("weight: 3", "weight: 0")))
    assert [(e.line, e.column) for e in (error, *error.others)] == [(2, 1), (9, 26), (11, 26)]
    assert str(error).count("\n") == 8
    assert "proposers.0.weight must be greater than 0, not 0" in str(error)


def test_a_value_where_a_list_belongs_is_refused(write: Write) -> None:
    text = "problem: x\nproposers: 3\nstop: {wall_s: 1}\n"
    assert str(_fail(write(text))).startswith("c.yaml:2:12: proposers must be a list, not 3\n")


def test_a_list_is_not_called_empty_when_its_entries_are_wrong(write: Write) -> None:
    text = "problem: x\nproposers: [{kind: 1}]\nstop: {wall_s: 1}\n"
    assert _fail(write(text)).others == ()
    text = "problem: x\nproposers: []\nstop: {wall_s: 1}\n"
    assert str(_fail(write(text))).startswith("c.yaml:2:12: proposers needs at least 1 entry\n")


def test_two_measures_of_one_name_are_refused(write: Write) -> None:
    axis = "{name: a, low: 0, high: 1}"
    error = _fail(write(GOOD + f"archive: {{measures: [{axis}, {axis}]}}\n"))
    assert "c.yaml:12:21: archive.measures: the name 'a' is given twice" in str(error)


def test_bounds_of_a_measure_must_ascend(write: Write) -> None:
    error = _fail(write(GOOD + "archive: {measures: [{name: a, low: 1, high: 1}]}\n"))
    assert "c.yaml:12:22: archive.measures.0: low (1.0) must be below high (1.0)" in str(error)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("api_key_env: sk-proj-AbCdEf0123456789xyz", "AbCdEf0123456789xyz"),
        ("api_key_env: A1B2C3D4E5F6A7B8C9D0E1F2A3B4C5D6", "A1B2C3D4"),
        ("api_key_env: hunter-2", "hunter-2"),
        ("api_key: hunter2-hunter2", "hunter2"),
        ("extra_body: {x: [hf_AbCdEf0123456789xyz]}", "AbCdEf0123456789xyz"),
        ("base_url: https://me:hunter2@host/v1", "hunter2"),
        ("base_url: https://host/v1?api-key=hunter2", "hunter2"),
        ("extra_body: {a: [{X-API-Key: hunter2}]}", "hunter2"),
        ("max_tokens: https://me:hunter2@host/v1", "hunter2"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(write: Write, line: str, secret: str) -> None:
    error = _fail(write(GOOD.replace("api_key_env: SOME_KEY", line)))
    assert error.line == 6
    assert secret not in str(error)
    assert secret not in repr(error)
    override = f"models.0.{line.replace(': ', '=', 1)}"
    assert secret not in str(_fail(write(GOOD), [override]))


def test_the_name_of_a_variable_is_asked_for(write: Write) -> None:
    error = _fail(write(GOOD.replace("SOME_KEY", "my-key")))
    assert "give the NAME of an environment variable, such as OPENAI_API_KEY" in str(error)


def test_a_model_made_in_python_does_not_repeat_a_secret_either() -> None:
    with pytest.raises(ValueError, match="api_key_env") as caught:
        RunConfig.model_validate(
            {"problem": "x", "models": [{"id": "a", "api_key_env": "hunter-2"}]}
        )
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file says nothing"),
        ("# only a comment\n", "the file says nothing"),
        ("- a\n- b\n", "c.yaml:1:1: the file must be a mapping"),
        ("just text\n", "c.yaml:1:1: the file must be a mapping"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(write: Write, text: str, message: str) -> None:
    assert message in str(_fail(write(text)))


def test_a_missing_file_suggests_its_neighbour(write: Write) -> None:
    write(GOOD).rename("quickstart.yaml")
    error = _fail(Path("quikstart.yaml"))
    assert str(error) == "quikstart.yaml: no such file; did you mean 'quickstart.yaml'?"
    assert "no folder nowhere" in str(_fail(Path("nowhere/x.yaml")))


def test_files_that_cannot_be_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"problem: x\nname: caf\xe9\n")
    error = _fail(path)
    assert (error.line, error.column) == (2, 10)
    assert "not UTF-8" in str(error)
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert f"at most {MAX_FILE_BYTES} are read" in str(_fail(path))
    assert "this is a folder" in str(_fail(tmp_path))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_run_config(path).config.seed == 12


def test_errors_raised_later_can_point_into_the_file(write: Write) -> None:
    loaded = load_run_config(write(GOOD), ["proposers.1.kind=rewrite"])
    with pytest.raises(ConfigError) as caught, loaded.at("proposers", 0, "kind"):
        raise ConfigError("no such thing")
    assert (caught.value.line, caught.value.column) == (9, 12)
    with pytest.raises(ConfigError, match=r"^--set proposers.1.kind=rewrite: no such thing$"):
        raise loaded.error("no such thing", "proposers", 1, "kind")
    with pytest.raises(ConfigError, match="elsewhere:7"), loaded.at("seed"):
        raise ConfigError("no such thing", path="elsewhere", line=7)


def test_the_hash_is_of_meaning_not_of_writing(write: Write) -> None:
    first = load_run_config(write(GOOD)).config
    reordered = GOOD.replace("problem: bins\nseed: 012\n", "") + "seed: 12\nproblem: bins\n"
    reordered = reordered.replace("1e-1", "0.1").replace("weight: 3", "weight: 3.0")
    assert config_hash(load_run_config(write(reordered)).config) == config_hash(first)
    assert config_hash(load_run_config(write(GOOD), ["seed=13"]).config) != config_hash(first)


configs = st.builds(
    RunConfig,
    problem=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    seed=st.integers(0, 2**63 - 1),
    proposers=st.just(({"kind": "genetic"},)),
    stop=st.builds(
        StopConfig, wall_s=st.floats(1e-300, 1e300), evaluations=st.none() | st.integers(1)
    ),
)


@settings(max_examples=50)
@given(config=configs)
def test_a_resolved_configuration_is_written_and_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, config: RunConfig
) -> None:
    path = tmp_path_factory.mktemp("dump") / "c.yaml"
    path.write_text(dump_yaml(config), encoding="utf-8", newline="")
    again = load_run_config(path).config
    assert again == config
    assert config_hash(again) == config_hash(config)


def test_problem_files_are_read_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    path.write_text("title: x\nlimits: {walls: 3}\n")
    with pytest.raises(ConfigError) as caught:
        load_problem_config(path)
    assert "unknown key 'walls' in limits; did you mean 'wall_s'?" in str(caught.value)
