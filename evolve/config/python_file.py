"""Python files named by a configuration: load one by path, or look into one without running it."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from evolve.config.source import redact
from evolve.config.text_file import read_text
from evolve.core.errors import ConfigError, EvolveError, PluginError
from evolve.core.syntax import syntax_of

MAX_SOURCE_BYTES = 1024 * 1024


class _Loader(SourceLoader):
    """Runs source that was read already; writes no bytecode, so an edit is never missed."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - the base class's signature
        """Return the file's path."""
        return self._path

    def get_data(self, path: str) -> bytes:
        """Return the file's bytes; there is nothing else to read."""
        if path != self._path:
            raise FileNotFoundError(path)
        return self._source.encode()


def load_module(path: Path) -> ModuleType:
    """Run a Python file as a module and return it; the same file and text give the same module.

    It can import modules that lie beside it, at its top level. They are private to it: they do not
    stay in ``sys.modules``, so two problems may each have a ``helper.py``, and its folder does not
    stay on ``sys.path``.

    Raises:
        PluginError: running the file failed; says at which line.
        ConfigError: the file cannot be read.
    """
    path = path.resolve()
    source = read_text(path, MAX_SOURCE_BYTES)
    digest = hashlib.sha256(f"{path}\0{source}".encode()).hexdigest()
    name = f"evolve_file_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path, loader=_Loader(str(path), source))
    assert spec is not None  # a loader was given
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(path.parent):
            spec.loader.exec_module(module)
    except EvolveError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(path, source, error) from error
    return module


def top_level_names(source: str, path: str) -> list[str]:
    """Return the names a file defines or imports at its top level, without running it.

    ``*`` is among them when the file imports everything from somewhere.

    Args:
        source: The file's text.
        path: What messages call it.

    Raises:
        ConfigError: it is not Python.
    """
    names: list[str] = []
    pending: list[ast.AST] = [parse_python(source, path)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        else:
            pending.extend(reversed(list(ast.iter_child_nodes(node))))
    return names


def parse_python(source: str, path: str) -> ast.Module:
    """Parse a file's text.

    Raises:
        ConfigError: it is not Python; points at the line.
    """
    tree = syntax_of(source)
    if isinstance(tree, SyntaxError):
        raise ConfigError(
            f"not valid Python: {tree.msg}",
            path=path,
            line=tree.lineno or 0,
            column=tree.offset or 0,
            source_line=redact(tree.text or ""),
        )
    if isinstance(tree, Exception):
        raise ConfigError(f"not valid Python: {tree}", path=path)
    return tree


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let ``folder``'s modules be imported for a while, then forget them."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))
        added = {name for name in sys.modules if name.split(".")[0] not in before}
        ours = {name for name in added if _lies_in(sys.modules.get(name.split(".")[0]), folder)}
        for name in ours:
            del sys.modules[name]


def _lies_in(module: ModuleType | None, folder: Path) -> bool:
    """Return whether a top-level module is a file or package right inside ``folder``."""
    if module is None or module.__name__.startswith("evolve_file_"):
        return False
    place = next(iter(getattr(module, "__path__", ())), None) or getattr(module, "__file__", None)
    return place is not None and Path(place).parent == folder


def _failed(path: Path, source: str, error: BaseException) -> PluginError:
    """Say where in the file loading it failed."""
    message, file, line, column = f"{type(error).__name__}: {error}", str(path), 0, 0
    if isinstance(error, SyntaxError) and error.filename:
        message, file = f"SyntaxError: {error.msg}", error.filename
        line, column = error.lineno or 0, error.offset or 0
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        if frames:
            line, column = frames[-1].lineno or 0, (frames[-1].colno or 0) + 1
    lines = source.splitlines() if file == str(path) else []
    shown = redact(lines[line - 1]) if 0 < line <= len(lines) else ""
    return PluginError(redact(message), path=file, line=line, column=column, source_line=shown)
