"""What an evaluator's code depends on, found by reading: its version is the hash of it all."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

from evolve.config.nearest import did_you_mean
from evolve.config.plugins import Target
from evolve.config.python_file import MAX_SOURCE_BYTES, parse_python, top_level_names
from evolve.config.text_file import read_text
from evolve.core.errors import PluginError


def evaluator_sources(target: Target) -> dict[str, str]:
    """Return the SHA-256 of every file an evaluator's code is made of, by name.

    That is its own file and, transitively, the modules and packages beside it that are imported
    anywhere in them. Nothing is run. Data files, modules imported under computed names, and
    installed packages are not seen: a change in those needs another ``evaluator_options`` value.

    Raises:
        PluginError: the source is not there, or does not define the attribute.
        ConfigError: a file cannot be read or is not Python.
    """
    file = target.source_file()
    if file is None:
        raise PluginError(f"the source of {target.module}:{target.attribute} is not to be found")
    _check_defines(file, target.attribute)
    folder = file.parent
    sources: dict[str, str] = {}
    pending = [file]
    while pending:
        path = pending.pop()
        name = path.relative_to(folder).as_posix()
        if name in sources:
            continue
        text = read_text(path, MAX_SOURCE_BYTES)
        sources[name] = hashlib.sha256(text.encode()).hexdigest()
        for module in sorted(_imported(text, str(path))):
            pending += _sibling(folder, module)
    return dict(sorted(sources.items()))


def _check_defines(file: Path, attribute: str) -> None:
    names = top_level_names(read_text(file, MAX_SOURCE_BYTES), str(file))
    wanted = attribute.split(".", maxsplit=1)[0]
    if wanted not in names and not {"*", "__getattr__"} & set(names):
        raise PluginError(f"{file} has no '{wanted}'{did_you_mean(wanted, names)}")


def _imported(text: str, path: str) -> set[str]:
    """Return the first parts of all module names imported anywhere in ``text``."""
    names: set[str] = set()
    for node in ast.walk(parse_python(text, path)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            names.update(module.split(".")[0] for module in modules)
    return names


def _sibling(folder: Path, module: str) -> list[Path]:
    """Return the files of a module or package right inside ``folder``; none when it has neither."""
    package = folder / module
    if (package / "__init__.py").is_file():
        return sorted(package.rglob("*.py"))
    file = folder / f"{module}.py"
    return [file] if file.is_file() else []
