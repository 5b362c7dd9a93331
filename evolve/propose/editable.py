"""Which parts of a program an edit may take: what constrained decoding lets a model quote."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from evolve.core.program import Program, Region, split_lines

#: Most lines, or statements of Python, that one edit takes.
LONGEST = 6


@dataclass(frozen=True, slots=True)
class Editable:
    """Neighbouring lines of an evolve block that occur once in the program.

    Attributes:
        text: The lines, each with its line break.
        indent: White space before the first of them.
        python: Whether they are whole statements of a Python function's body.
        returns: Whether the last of those is a ``return``, so that its replacement must be one.
    """

    text: str
    indent: str
    python: bool = False
    returns: bool = False


def editables(program: Program) -> tuple[Editable, ...]:
    """Return what can be replaced, in the order of the program.

    Of Python files: runs of statements inside functions, so that what stands around them stays
    whole. Of other files: runs of lines.
    """
    everything = "".join(f"\n{text}" for text in program.files.values())
    found = [
        each
        for region in program.regions
        for each in _of(program, region)
        if each.text.strip() and _count(everything, f"\n{each.text}") == 1
    ]
    return tuple({each.text: each for each in found}.values())


def _of(program: Program, region: Region) -> Iterator[Editable]:
    source = program.files[region.path]
    lines = split_lines(source)
    if region.path.endswith(".py"):
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return
        for run in _runs(tree):
            first, last = run[0].lineno - 1, run[-1].end_lineno or run[-1].lineno
            text = "".join(lines[first:last])
            alone = not lines[first][: run[0].col_offset].strip() and text.endswith("\n")
            if region.first <= first and last <= region.last and alone:
                yield Editable(text, _indent(text), True, isinstance(run[-1], ast.Return))
        return
    for first in range(region.first, region.last):
        for last in range(first + 1, min(first + LONGEST, region.last) + 1):
            text = "".join(lines[first:last])
            if text.endswith("\n"):
                yield Editable(text, _indent(text))


def _runs(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Yield runs of statements of one suite, inside functions, without definitions."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for suite in _suites(function):
            for first in range(len(suite)):
                for last in range(first + 1, min(first + LONGEST, len(suite)) + 1):
                    run = suite[first:last]
                    if not any(isinstance(each, _KEPT) for each in run):
                        yield run


#: Statements whose loss breaks others: definitions, imports, declarations.
_KEPT = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
)


def _suites(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[list[ast.stmt]]:
    """Yield the bodies in a function that are its own, not those of functions within it."""
    waiting: list[ast.stmt] = [function]
    while waiting:
        statement = waiting.pop()
        for name in ("body", "orelse", "finalbody"):
            suite = getattr(statement, name, None)
            if isinstance(suite, list):
                yield suite
                waiting += [each for each in suite if not isinstance(each, _KEPT)]


def _count(text: str, part: str) -> int:
    """Return how often ``part`` occurs in ``text``, overlapping ones too."""
    count, at = 0, text.find(part)
    while at >= 0:
        count, at = count + 1, text.find(part, at + 1)
    return count


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" \t"))]
