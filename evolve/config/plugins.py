"""One resolver for every plug-in seam, and one way to construct what it finds.

A reference is one of

- a built-in name (``genetic``),
- the name of an entry point in the seam's group (``evolve.proposers`` and so on),
- ``./file.py:attribute``, relative to the file that names it,
- ``module:attribute`` of a bundled evaluator (``packing:CirclePacking``),
- ``package.module:attribute`` of an installed package.

Nothing is imported before it is chosen.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from evolve.config.bundled import bundled
from evolve.config.nearest import did_you_mean
from evolve.config.python_file import load_module
from evolve.core.errors import ConfigError, EvolveError, PluginError

#: The seams, by the entry-point group of each.
Seam: TypeAlias = Literal[
    "evolve.evaluators",
    "evolve.proposers",
    "evolve.models",
    "evolve.sandboxes",
    "evolve.pools",
    "evolve.selectors",
    "evolve.hooks",
]


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference points at.

    Attributes:
        attribute: Dotted name inside the module.
        path: The file to load, or None for a module of an installed package.
        module: That module's name, or empty.
    """

    attribute: str
    path: Path | None = None
    module: str = ""

    def source_file(self) -> Path | None:
        """Return the file that would be loaded, without running anything; None when unknown."""
        if self.path is not None:
            return self.path
        search: Iterable[str] | None = None
        origin: str | None = None
        parts = self.module.split(".")
        for depth in range(1, len(parts) + 1):
            spec = PathFinder.find_spec(".".join(parts[:depth]), list(search) if search else None)
            if spec is None:
                return None
            search, origin = spec.submodule_search_locations, spec.origin
        return Path(origin) if origin and origin.endswith(".py") else None

    def load(self) -> object:
        """Import the attribute.

        Raises:
            PluginError: the module cannot be imported or lacks the attribute.
        """
        where = str(self.path or self.module)
        module = load_module(self.path) if self.path else _import(self.module)
        try:
            return reduce(getattr, self.attribute.split("."), module)
        except AttributeError:
            public = [name for name in vars(module) if not name.startswith("_")]
            hint = did_you_mean(self.attribute, public)
            raise PluginError(f"{where} has no '{self.attribute}'{hint}") from None


def resolve(
    reference: str,
    *,
    seam: Seam,
    builtin: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> object:
    """Return what ``reference`` names.

    Args:
        reference: See the module's description.
        seam: The kind of plug-in that is wanted.
        builtin: What comes with the engine, by name: the thing itself, or ``module:attribute``.
        folder: Where relative files start; default: the working folder.

    Raises:
        PluginError: there is nothing of that name, or it cannot be imported.
    """
    known = builtin or {}
    if reference not in known:
        return find(reference, seam=seam, builtin=known, folder=folder).load()
    value = known[reference]
    if not isinstance(value, str):
        return value
    module, _, attribute = value.partition(":")
    return Target(attribute, module=module).load()


def find(
    reference: str, *, seam: Seam, builtin: Iterable[str] = (), folder: Path | None = None
) -> Target:
    """Return where a reference that is no built-in name points, without importing it.

    Raises:
        PluginError: there is nothing of that name.
    """
    left, colon, attribute = reference.rpartition(":")
    if not colon:
        return _entry_point(reference, seam, builtin)
    if not left or not all(part.isidentifier() for part in attribute.split(".")):
        raise PluginError(f"'{reference}' is no reference; write ./file.py:NAME or module:NAME")
    if left.endswith(".py"):
        path = (folder or Path.cwd()) / left
        if not path.is_file():
            names = [entry.name for entry in path.parent.glob("*.py")]
            raise PluginError(f"there is no file {path}{did_you_mean(path.name, names)}")
        return Target(attribute, path=path)
    if seam == "evolve.evaluators" and left.isidentifier():
        path = bundled("evaluators") / f"{left}.py"
        if path.is_file():
            return Target(attribute, path=path)
    if left.isidentifier() and left not in sys.modules and find_spec(left) is None:
        raise PluginError(f"there is no module '{left}'{_modules(seam, left)}")
    return Target(attribute, module=left)


def known_names(seam: Seam, builtin: Iterable[str] = ()) -> list[str]:
    """Return the names that need no file: built-in ones, then those of installed plug-ins."""
    installed = sorted(point.name for point in entry_points(group=seam))
    return list(dict.fromkeys([*builtin, *installed]))


def build(factory: object, options: Mapping[str, object], *, what: str) -> object:
    """Call ``factory`` with ``options`` as keyword arguments.

    Args:
        factory: A class or function.
        options: As a configuration file gives them.
        what: How messages call it, for instance ``proposer diff``.

    Raises:
        ConfigError: an option is unknown, missing or refused.
    """
    check_options(factory, options, what=what)
    assert callable(factory)  # checked just above
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what}: {_told(error)}") from error


def check_options(factory: object, options: Mapping[str, object], *, what: str) -> None:
    """Check the names of ``options`` against what ``factory`` takes, without calling it.

    Raises:
        ConfigError: an option is unknown or missing.
    """
    if not callable(factory):
        raise PluginError(f"{what} is of type {type(factory).__name__}, which cannot be called")
    parameters = inspect.signature(factory).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [p.name for p in named]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for option in options:
        if option not in names and not takes_any:
            hint = did_you_mean(option, names) or "; it takes none"
            raise ConfigError(f"{what} has no option '{option}'{hint}")
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in options:
            raise ConfigError(f"{what} needs the option '{parameter.name}'")


def _told(error: Exception) -> str:
    """Return what is wrong; pydantic is there if it is pydantic that says so, and slow to load."""
    if "pydantic" not in sys.modules:
        return str(error)
    from pydantic import ValidationError

    from evolve.config.explain import explain
    from evolve.config.section import Section

    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(finding.message for finding in explain(error, Section))


def _entry_point(name: str, seam: Seam, builtin: Iterable[str]) -> Target:
    for point in entry_points(group=seam, name=name):
        return Target(point.attr, module=point.module)
    kind = seam.removeprefix("evolve.")
    hint = did_you_mean(name, known_names(seam, builtin))
    raise PluginError(
        f"'{name}' is none of the {kind}{hint}; your own is named ./file.py:NAME or module:NAME"
    )


def _modules(seam: Seam, name: str) -> str:
    """Suggest a bundled evaluator module."""
    if seam != "evolve.evaluators":
        return "; for a file of your own write ./file.py:NAME"
    folder = bundled("evaluators")
    return did_you_mean(name, sorted(file.stem for file in folder.glob("[!_]*.py")))


def _import(name: str) -> object:
    try:
        return import_module(name)
    except EvolveError:
        raise
    except (Exception, SystemExit) as error:
        message = f"the module '{name}' cannot be imported: {type(error).__name__}: {error}"
        raise PluginError(message) from error
