"""Presets: each one loads, and says what a file does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config.file import dump_yaml, load_run_config
from evolve.config.models import RunConfig
from evolve.config.presets import presets, with_preset
from evolve.core.errors import ConfigError
from evolve.engine.assemble import policy_of

MINIMAL = "problem: p\nproposers: [{kind: genetic}]\nstop: {evaluations: 1}\n"
NAMES = sorted(presets())


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_presets_there_are() -> None:
    assert set(NAMES) >= {"adaptive", "map_elites", "islands", "funsearch", "openevolve", "shinka"}
    assert set(NAMES) >= {"greedy", "sequential", "best_of_n"}
    assert all(len(text) > 30 for text in presets().values()), "each says what it is"


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_fills_in_and_its_result_loads_again(tmp_path: Path, name: str) -> None:
    config = load_run_config(written(tmp_path, f"{MINIMAL}preset: {name}\n")).config
    policy_of(config, tmp_path)  # every option is one
    assert load_run_config(written(tmp_path, dump_yaml(config))).config == config
    python = RunConfig.model_validate(
        with_preset(
            {
                "problem": "p",
                "preset": name,
                "proposers": [{"kind": "genetic"}],
                "stop": {"evaluations": 1},
            }
        )
    )
    assert python == config
    on_top = load_run_config(written(tmp_path, MINIMAL), preset=name).config
    assert on_top == config


def test_the_default_is_the_adaptive_preset(tmp_path: Path) -> None:
    plain = load_run_config(written(tmp_path, MINIMAL)).config
    named = load_run_config(written(tmp_path, f"{MINIMAL}preset: adaptive\n")).config
    assert named == plain.model_copy(update={"preset": "adaptive"})


def test_keys_of_the_file_win_over_its_preset(tmp_path: Path) -> None:
    text = f"{MINIMAL}preset: funsearch\nislands: {{count: 3}}\nselection: {{kind: rank}}\n"
    config = load_run_config(written(tmp_path, text)).config
    assert (config.islands.count, config.islands.reset.interval) == (3, 1000)
    assert config.selection.kind == "rank"
    assert config.selection.options == {}, "options of another kind are not inherited"
    assert config.selection.inspirations == 1
    same = text.replace("kind: rank", "options: {period: 7}")
    assert load_run_config(written(tmp_path, same)).config.selection.options == {"period": 7}


def test_a_preset_on_top_wins_over_the_file_and_settings_over_both(tmp_path: Path) -> None:
    path = written(tmp_path, f"{MINIMAL}selection: {{kind: rank, options: {{exponent: 3}}}}\n")
    assert load_run_config(path, preset="greedy").config.selection.options == {}
    loaded = load_run_config(path, ["islands.count=9"], preset="shinka")
    assert loaded.config.selection.kind == "weighted"
    assert loaded.config.islands.count == 9
    assert loaded.config.preset == "shinka"


def test_an_unknown_preset_is_an_error_with_its_place_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'funsearch'") as caught:
        load_run_config(written(tmp_path, f"{MINIMAL}preset: fun_search\n"))
    assert caught.value.line == 4
    with pytest.raises(ConfigError, match=r"--set preset=zzz.*known: adaptive, best_of_n"):
        load_run_config(written(tmp_path, MINIMAL), ["preset=zzz"])
    with pytest.raises(ConfigError, match="'zzz' is no preset"):
        load_run_config(written(tmp_path, MINIMAL), preset="zzz")
