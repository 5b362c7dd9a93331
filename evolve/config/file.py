"""Configuration files: YAML text to frozen models, with errors that point at the line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from pydantic import JsonValue, ValidationError

from evolve.config.bundled import bundled
from evolve.config.explain import explain
from evolve.config.models import RunConfig
from evolve.config.overrides import apply_overrides
from evolve.config.presets import under_preset, with_preset
from evolve.config.problem_file import ProblemConfig
from evolve.config.section import Section
from evolve.config.source import Source, Where, holds_secret, redact
from evolve.config.text_file import read_text
from evolve.config.yaml12 import dump, parse
from evolve.core.errors import ConfigError

MAX_FILE_BYTES = 256 * 1024
#: How a problem is searched that is named alone.
PROBLEM_RUN = """problem: {problem}
proposers: [{{kind: genetic}}]
stop: {{evaluations: 200}}
"""

_SectionT = TypeVar("_SectionT", bound=Section)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[_SectionT]):
    """A file, read and checked.

    Attributes:
        config: What it says, defaults included.
        path: The file; for a configuration made in Python, a name in the folder it is relative to.
        source: Its text and the places of its parts.
        overrides: What ``--set`` changed, and where.
    """

    config: _SectionT
    path: Path
    source: Source = field(default_factory=lambda: Source("", ""))
    overrides: Mapping[Where, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the file's relative paths start."""
        return self.path.parent

    def error(self, message: str, *where: str | int) -> ConfigError:
        """Return an error that points at a value, for instance at ``"models", 0, "id"``."""
        return _error(self.source, self.overrides, message, where)

    @contextmanager
    def at(self, *where: str | int) -> Iterator[None]:
        """Make a `ConfigError` raised inside point at the value at ``where``.

        One that names a line already, of another file, passes unchanged.
        """
        try:
            yield
        except ConfigError as error:
            if error.line:
                raise
            place = f" ({error.path})" if error.path else ""
            raise self.error(f"{error.message}{place}", *where) from error


LoadedConfig: TypeAlias = Loaded[RunConfig]


def load_run_config(
    path: str | Path, overrides: Sequence[str] = (), preset: str = ""
) -> LoadedConfig:
    """Read a configuration of `evolve run`.

    Args:
        path: The file.
        overrides: ``--set`` texts, applied in order.
        preset: A preset that takes the place of what the file says of the same things.

    Raises:
        ConfigError: the first of all errors found; its text lists the others.
    """
    return _load(Path(path), overrides, RunConfig, preset)


def load_problem_run(folder: Path, overrides: Sequence[str] = (), preset: str = "") -> LoadedConfig:
    """Make the configuration of a search for a problem that comes without one.

    Args:
        folder: The problem's folder; its name labels the run.
        overrides: ``--set`` texts, applied in order.
        preset: How to search.

    Raises:
        ConfigError: an override is refused.
    """
    place = folder.resolve()
    problem = place.name if place.parent == bundled("problems") else str(place)
    source = parse(PROBLEM_RUN.format(problem=json.dumps(problem)), f"search for {place.name}")
    return _check(Path(place.name), source, overrides, RunConfig, preset)


def loaded_run_config(config: RunConfig, folder: Path | None = None) -> LoadedConfig:
    """Wrap a configuration made in Python.

    Args:
        config: The configuration.
        folder: Where its relative paths start; default: the working folder.
    """
    return Loaded(config, (folder or Path.cwd()) / (config.name or "run"))


def load_problem_config(path: str | Path) -> Loaded[ProblemConfig]:
    """Read a ``problem.yaml``.

    Raises:
        ConfigError: the first of all errors found; its text lists the others.
    """
    return _load(Path(path), (), ProblemConfig)


def config_hash(config: Section) -> str:
    """Return the SHA-256 of a configuration, defaults included, in hexadecimal.

    Neither the order of keys nor the way numbers were written matters.
    """
    data = config.model_dump(mode="json")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def dump_yaml(config: Section) -> str:
    """Write a configuration as YAML, defaults included; loading it gives an equal one."""
    return dump(config.model_dump(mode="json"))


def _load(
    path: Path, overrides: Sequence[str], model: type[_SectionT], preset: str = ""
) -> Loaded[_SectionT]:
    return _check(path, parse(read_text(path, MAX_FILE_BYTES), str(path)), overrides, model, preset)


def _check(
    path: Path,
    source: Source,
    overrides: Sequence[str],
    model: type[_SectionT],
    preset: str,
) -> Loaded[_SectionT]:
    if source.data is None:
        raise ConfigError("the file says nothing", path=str(path))
    if not isinstance(source.data, dict):
        raise source.error("the file must be a mapping (key: value)", mark=source.mark_of(()))
    if preset:
        source.data.update(under_preset(source.data, preset))
    changed = apply_overrides(source, overrides)
    for where, text in _texts(source.data, ()):
        if holds_secret(text):
            message = "this looks like a secret key; set an environment variable and give its NAME"
            raise _error(source, changed, message, where)
    try:
        data = with_preset(source.data)
    except ConfigError as error:
        raise _error(source, changed, error.message, ("preset",)) from None
    try:
        # By way of JSON: strict about types, yet a list is good for a tuple.
        config = model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise _combine(
            [
                _error(source, changed, found.message, found.where, key=found.is_key)
                for found in explain(error, model)
            ]
        ) from None
    return Loaded(config, path, source, changed)


def _texts(data: JsonValue, where: Where) -> Iterator[tuple[Where, str]]:
    """Yield every text in ``data`` and its place."""
    if isinstance(data, str):
        yield where, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(value, (*where, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, (*where, index))


def _combine(errors: Sequence[ConfigError]) -> ConfigError:
    """Return the first error of a file, carrying the others."""
    first, *others = sorted(errors, key=lambda error: (error.line, error.column))
    return ConfigError(
        first.message,
        path=first.path,
        line=first.line,
        column=first.column,
        source_line=first.source_line,
        others=others,
    )


def _error(
    source: Source, overrides: Mapping[Where, str], message: str, where: Where, *, key: bool = False
) -> ConfigError:
    """Return an error about ``where``: the override that set it, else its place in the file."""
    for place, text in reversed(list(overrides.items())):
        made_here = bool(where) and place[: len(where)] == where and where not in source.values
        if made_here or where[: len(place)] == place:
            return ConfigError(f"--set {redact(text)}: {message}")
    return source.error(message, mark=source.mark_of(where, key=key))
