"""Measures of a program's code: what stands in its evolve blocks, never what it does.

Python files are parsed whole, so that a block may be any fragment of one, and the syntax nodes that
begin on a block's lines count. Blocks of files in another language, or that do not parse, are
measured by their text instead: tokens for nodes, branching words for branches, and braces, or
else indentation, for depth. Comments and strings are not told apart there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from evolve.core.program import Program, Region
from evolve.core.syntax import syntax_of

_TOKEN = re.compile(r"\w+|[^\w\s]")
_BRANCH = re.compile(
    r"\b(?:if|elif|elsif|for|foreach|while|until|case|when|catch|except)\b|&&|\|\||\?"
)
_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.match_case,
)
_BLOCKS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Counts over one or several evolve blocks."""

    nodes: int = 0
    branches: int = 0
    depth: int = 0

    def __add__(self, other: _Shape) -> _Shape:
        return _Shape(
            self.nodes + other.nodes,
            self.branches + other.branches,
            max(self.depth, other.depth),
        )


def code_length(program: Program) -> float:
    """Count the characters inside the evolve blocks."""
    return float(sum(len(program.text(region)) for region in program.regions))


def ast_nodes(program: Program) -> float:
    """Count the syntax nodes that have a place in the source: statements, expressions, arguments.

    Operators and contexts, which `ast` also makes nodes of, do not count.
    """
    return float(_shape(program).nodes)


def cyclomatic_complexity(program: Program) -> float:
    """Count 1 and one more for each branch: conditions, loops, handlers, ``and``, ``or``.

    After McCabe (1976), *A Complexity Measure*, taken over all blocks as if they were one function.
    """
    return float(1 + _shape(program).branches)


def nesting_depth(program: Program) -> float:
    """Count how deep compound statements, definitions included, stand in one another.

    What is around an evolve block does not count; ``elif`` is no deeper than its ``if``.
    """
    return float(_shape(program).depth)


#: The built-in measures, by the name that a problem declares.
CODE_MEASURES: Mapping[str, Callable[[Program], float]] = MappingProxyType(
    {
        measure.__name__: measure
        for measure in (code_length, ast_nodes, cyclomatic_complexity, nesting_depth)
    }
)


def code_measures(program: Program, names: Iterable[str]) -> dict[str, float]:
    """Return the built-in measures among ``names``; all finite, whatever the program holds."""
    return {name: CODE_MEASURES[name](program) for name in names if name in CODE_MEASURES}


@lru_cache(maxsize=16)  # the measures of one program are asked for one after the other
def _shape(program: Program) -> _Shape:
    total = _Shape()
    for path, source in program.files.items():
        regions = [region for region in program.regions if region.path == path]
        tree = syntax_of(source) if regions and path.endswith(".py") else None
        for region in regions:
            if isinstance(tree, ast.Module):
                total += _tree_shape(tree, region)
            else:
                total += _text_shape(program.text(region))
    return total


def _tree_shape(tree: ast.Module, region: Region) -> _Shape:
    nodes = branches = deepest = 0
    for node, depth in _nodes_inside(tree, region):
        nodes += hasattr(node, "lineno")
        deepest = max(deepest, depth)
        if isinstance(node, _BRANCHES):
            branches += 1
        elif isinstance(node, ast.comprehension):
            branches += 1 + len(node.ifs)
        elif isinstance(node, ast.BoolOp):
            branches += len(node.values) - 1
    return _Shape(nodes, branches, deepest)


def _nodes_inside(tree: ast.Module, region: Region) -> Iterator[tuple[ast.AST, int]]:
    """Yield the nodes that begin inside ``region``, each with its depth there.

    A node without a place of its own, like a comprehension's, is where its parent is.
    """
    stack: list[tuple[ast.AST, bool, int]] = [(tree, False, 0)]
    while stack:
        node, inside, depth = stack.pop()
        line = getattr(node, "lineno", None)
        if line is not None:
            inside = region.first < line <= region.last
        if inside and isinstance(node, _BLOCKS):
            depth += 1
        if inside:
            yield node, depth
        for child in ast.iter_child_nodes(node):
            is_elif = isinstance(node, ast.If) and [child] == node.orelse
            is_level = inside and is_elif and isinstance(child, ast.If)
            stack.append((child, inside, depth - 1 if is_level else depth))


def _text_shape(text: str) -> _Shape:
    depth = deepest = 0
    for brace in re.findall(r"[{}]", text):
        depth = max(depth + (1 if brace == "{" else -1), 0)
        deepest = max(deepest, depth)
    if "{" not in text:
        indents = {len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip()}
        deepest = max(len(indents) - 1, 0)
    return _Shape(len(_TOKEN.findall(text)), len(_BRANCH.findall(text)), deepest)
