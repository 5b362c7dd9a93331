"""``--set a.b=v``: change a configuration's data before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evolve.config.nearest import did_you_mean
from evolve.config.source import Source, Where, redact
from evolve.config.yaml12 import parse_value
from evolve.core.errors import ConfigError


def apply_overrides(source: Source, overrides: Sequence[str]) -> dict[Where, str]:
    """Change ``source.data`` in place, in order.

    Args:
        source: A parsed configuration file.
        overrides: Texts of the form ``stop.evaluations=100``, ``models.0.temperature=0.2`` or
            ``models=[{id: openai/x}]``: keys and list positions joined by dots, then a YAML scalar
            or a list or mapping in flow style. Keys that hold dots cannot be reached. Sections that
            are not in the file are made; list entries are not.

    Returns:
        What was set where, for error messages.

    Raises:
        ConfigError: an override cannot be read, or leads through something that is no section.
    """
    return {_apply(source, text): text for text in overrides}


def _apply(source: Source, text: str) -> Where:
    path, equals, value_text = text.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise _refuse(text, "write it as KEY.KEY=VALUE, for instance stop.evaluations=100")
    try:
        value = parse_value(value_text)
    except ConfigError as error:
        raise _refuse(text, f"the value is not YAML: {error.message}") from None
    here: Any = source.data  # nested dictionaries and lists
    where: Where = ()
    for position, part in enumerate(parts, start=1):
        step = _step(text, here, where, part)
        where = (*where, step)
        if position == len(parts):
            here[step] = value
            break
        inner = here.get(step) if isinstance(here, dict) else here[step]
        if inner is None:
            inner = here[step] = [] if parts[position].isdecimal() else {}
        here = inner
    return where


def _step(text: str, here: object, where: Where, part: str) -> str | int:
    """Return the key or index that ``part`` is in ``here``."""
    name = ".".join(map(str, where)) or "the file"
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise _refuse(text, f"{name} is a value, it has no '{part}'")
    entries = [str(index) for index in range(len(here))]
    if part not in entries:
        raise _refuse(text, f"{name} has no entry {part}{did_you_mean(part, entries)}")
    return int(part)


def _refuse(text: str, why: str) -> ConfigError:
    return ConfigError(f"--set {redact(text)}: {why}")
