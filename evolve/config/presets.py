"""Named ways to search: parts of a configuration that a file takes as they are or overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolve.config.bundled import bundled
from evolve.config.nearest import did_you_mean
from evolve.config.yaml12 import parse
from evolve.core.errors import ConfigError


def presets() -> dict[str, str]:
    """Return what each preset is, in one sentence, by name."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in _folder().glob("*.yaml")}
    return {name: text.partition("\n")[0].lstrip("# ") for name, text in sorted(texts.items())}


def with_preset(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's data on top of the preset that it names, if it names one.

    Keys that it has itself win. Options belong to a ``kind``: those of the preset are left out
    where the kind is another one.

    Raises:
        ConfigError: there is no such preset.
    """
    name = data.get("preset")
    return _merge(_preset(name), data) if name and isinstance(name, str) else dict(data)


def under_preset(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration's data with a preset on top: the keys of the preset win.

    Raises:
        ConfigError: there is no such preset.
    """
    return {**_merge(data, _preset(name)), "preset": name}


def _preset(name: str) -> dict[str, Any]:
    known = presets()
    if name not in known:
        raise ConfigError(f"'{name}' is no preset{did_you_mean(name, known)}")
    file = _folder() / f"{name}.yaml"
    data = parse(file.read_text(encoding="utf-8"), str(file)).data
    assert isinstance(data, dict)  # a test loads each of them
    return data


def _merge(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    if "kind" in above and above["kind"] != base.get("kind"):
        merged.pop("options", None)
    for key, value in above.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, Mapping) and key != "options"
        merged[key] = _merge(below, value) if both and isinstance(below, dict) else value
    return merged


def _folder() -> Path:
    return bundled("configs") / "presets"
