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
    texts = _texts(target)
    return {name: hashlib.sha256(texts[name].encode()).hexdigest() for name in sorted(texts)}


def evaluator_imports(target: Target) -> set[str]:
    """Return the first parts of the names of all modules that an evaluator's code imports.

    Raises:
        PluginError: as `evaluator_sources`, and ``ConfigError`` likewise.
    """
    return {name for path, text in _texts(target).items() for name in imported(text, path)}


def _texts(target: Target) -> dict[str, str]:
    """Return the files of `evaluator_sources` with their texts."""
    file = target.source_file()
    if file is None:
        raise PluginError(f"the source of {target.module}:{target.attribute} is not to be found")
    _check_defines(file, target.attribute)
    folder = file.parent
    texts: dict[str, str] = {}
    pending = [file]
    while pending:
        path = pending.pop()
        name = path.relative_to(folder).as_posix()
        if name in texts:
            continue
        texts[name] = text = read_text(path, MAX_SOURCE_BYTES)
        for module in sorted(imported(text, str(path))):
            pending += _sibling(folder, module)
    return texts


def _check_defines(file: Path, attribute: str) -> None:
    names = top_level_names(read_text(file, MAX_SOURCE_BYTES), str(file))
    wanted = attribute.split(".", maxsplit=1)[0]
    if wanted not in names and not {"*", "__getattr__"} & set(names):
        raise PluginError(f"{file} has no '{wanted}'{did_you_mean(wanted, names)}")


def imported(text: str, path: str) -> set[str]:
    """Return the first parts of all module names imported anywhere in ``text``.

    Raises:
        ConfigError: it is not Python; ``path`` is what messages call it.
    """
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
