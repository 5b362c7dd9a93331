"""The numbers written in a program's evolve blocks, and the program with others in their place.

A comment ``# tune: 32..1024`` bounds the numbers of its line, and opens whole ones to change.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolve.core.program import Program, split_lines
from evolve.core.syntax import parse_quietly
from evolve.propose.genetic.sites import number_of

#: Whole numbers beyond it are no doubles, in which the search reckons.
_LARGEST = 2**53
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_BOUNDS = re.compile(rf"#\s*tune:\s*({_NUMBER})\s*\.\.\s*({_NUMBER})(?!\S)[^#\n]*$")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal that may change.

    Attributes:
        path: Its file.
        line: 0-based.
        start: Byte of that line, in UTF-8, on which it begins.
        end: One past its last byte.
        value: With its sign.
        low: Smallest value allowed.
        high: Largest value allowed.
        whole: Whether only whole numbers are.
    """

    path: str
    line: int
    start: int
    end: int
    value: float
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def fitting(self, value: float) -> float:
        """Return the allowed value nearest to another."""
        low, high = self.low, self.high
        if self.whole:
            value, low, high = round(value), math.ceil(low), math.floor(high)
        return min(max(value, low), high)


@lru_cache(maxsize=4096)
def constants(program: Program) -> tuple[Constant, ...]:
    """Return the numbers of the evolve blocks of Python files that may change, in source order.

    Whole numbers without bounds are left out, since most of them count or index something; so is
    what stands in a string, and infinity.
    """
    found = (each for path, text in program.files.items() for each in _of_file(program, path, text))
    return tuple(sorted(found, key=lambda each: (each.path, each.line, each.start)))


def with_values(program: Program, values: Sequence[float]) -> Program:
    """Return ``program`` with ``values`` in place of its `constants`; the rest stays as it is.

    Raises:
        ValueError: there is not one value for each constant.
    """
    files = {path: split_lines(text) for path, text in program.files.items()}
    for constant, value in reversed(list(zip(constants(program), values, strict=True))):
        text = repr(int(value) if constant.whole else float(value))
        line = files[constant.path][constant.line].encode()
        gap = " " if line[: constant.start][-1:].isalnum() else ""  # as in "return-0.5"
        new = (gap + (text if value >= 0 else f"({text})")).encode()
        files[constant.path][constant.line] = (
            line[: constant.start] + new + line[constant.end :]
        ).decode()
    return Program({path: "".join(lines) for path, lines in files.items()})


def _of_file(program: Program, path: str, text: str) -> Iterator[Constant]:
    tree = parse_quietly(text) if path.endswith(".py") else None
    if not isinstance(tree, ast.Module) or "\f" in text:
        return
    lines = split_lines(text)
    inside = {n for r in program.regions if r.path == path for n in range(r.first, r.last)}
    for node in _outside_strings(tree):
        if not isinstance(node, ast.expr):
            continue
        value, line, end = number_of(node), node.lineno - 1, node.end_col_offset
        if value is None or line not in inside or node.end_lineno != node.lineno or end is None:
            continue
        low, high = _bounds(lines[line])
        whole = isinstance(value, int) and abs(value) <= _LARGEST and 1 <= high - low < math.inf
        if whole or (isinstance(value, float) and math.isfinite(value)):
            yield Constant(path, line, node.col_offset, end, value, low, high, whole)


def _bounds(line: str) -> tuple[float, float]:
    """Return what the comment of a line says of its numbers; no sensible bounds are none."""
    found = _BOUNDS.search(line)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    return (low, high) if low < high else (-math.inf, math.inf)


def _outside_strings(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, but for what stands inside formatted strings and signed numbers."""
    yield node
    signed = isinstance(node, ast.UnaryOp) and number_of(node) is not None
    if not signed and not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _outside_strings(child)
