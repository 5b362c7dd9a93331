"""The size limits of the code: a module that outgrows them wants to be two things."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for part in ("evolve", "evaluators") for path in (ROOT / part).rglob("*.py"))
LINES, FUNCTION_LINES, LOOP_LINES = 400, 60, 150


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of every function of a module.

    Migrations are left out: one is the list of what it does, and stays as it is for ever.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if "migrations" not in path.parts and isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_modules_fit_on_a_few_screens() -> None:
    assert len(MODULES) > 50
    assert [str(path) for path in MODULES if _lines(path) > LINES] == []


def test_functions_fit_on_one_screen() -> None:
    functions = [function for path in MODULES for function in _functions(path)]
    assert [name for name, lines in functions if lines > FUNCTION_LINES] == []


def test_one_iteration_reads_on_one_screen() -> None:
    assert _lines(ROOT / "evolve/engine/loop.py") < LOOP_LINES
