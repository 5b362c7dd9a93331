"""The evolve blocks of a program as syntax trees, and back to text."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from evolve.core.program import Program, Region, split_lines
from evolve.core.syntax import parse_quietly


class EvolveBlock(ast.stmt):
    """A node that holds the statements of one evolve block in place of them.

    It has no syntax of its own: the statements around it stay as they are.
    """

    _fields = ("body",)

    def __init__(self, body: list[ast.stmt]) -> None:
        super().__init__()
        self.body = body


@dataclass(frozen=True, slots=True)
class Block:
    """One evolve block.

    Attributes:
        region: Its lines.
        statements: What it holds; changed in place.
        indent: The white space in front of its statements.
        original: The syntax of the statements as they were.
    """

    region: Region
    statements: list[ast.stmt]
    indent: str
    original: str

    @property
    def changed(self) -> bool:
        """Whether the statements are not what they were."""
        return _syntax(self.statements) != self.original

    def render(self) -> str:
        """Return the block's source text."""
        module = ast.Module(body=self.statements, type_ignores=[])
        text = ast.unparse(ast.fix_missing_locations(module))
        return textwrap.indent(text, self.indent) + "\n"


class Draft:
    """A program opened for change: its Python files as trees, its evolve blocks marked in them.

    Files that are not Python and blocks that are not whole statements stay as they are.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.trees: list[ast.Module] = []
        self.blocks: list[Block] = []
        for path, text in program.files.items():
            regions = [region for region in program.regions if region.path == path]
            tree = parse_quietly(text)
            if isinstance(tree, Exception):
                continue
            lines = split_lines(text)
            blocks = [block for region in regions if (block := _open(tree, region, lines))]
            if blocks:
                self.trees.append(tree)
                self.blocks += blocks

    def size(self) -> int:
        """Return the number of syntax-tree nodes in the blocks."""
        return sum(1 for block in self.blocks for node in block.statements for _ in ast.walk(node))

    def render(self) -> Program:
        """Return the program with the changed blocks as they are now."""
        return self._program.replace(
            {block.region: block.render() for block in self.blocks if block.changed}
        )


def _open(tree: ast.Module, region: Region, lines: list[str]) -> Block | None:
    """Move the statements of ``region`` into an `EvolveBlock`; None when they are not whole."""
    for owner in _bodies(tree):
        inside = [node for node in owner if _covers(region, node)]
        if inside and _is_whole(region, inside, lines):
            first = owner.index(inside[0])
            owner[first : first + len(inside)] = [EvolveBlock(body=inside)]
            start = lines[_first_line(inside[0])]
            indent = start[: len(start) - len(start.lstrip())]
            if indent:
                _dedent_docstrings(inside)
            return Block(region, inside, indent, _syntax(inside))
    return None


def _syntax(nodes: list[ast.stmt]) -> str:
    return "\n".join(ast.dump(node) for node in nodes)


def _bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Yield every list of statements, outer ones first."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                yield body


def _covers(region: Region, node: ast.stmt) -> bool:
    if isinstance(node, EvolveBlock):
        return False
    assert node.end_lineno is not None
    return region.first <= _first_line(node) and node.end_lineno <= region.last


def _first_line(node: ast.stmt) -> int:
    """Return the 0-based line on which ``node`` begins, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def _is_whole(region: Region, nodes: list[ast.stmt], lines: list[str]) -> bool:
    """Return whether the rest of ``region`` is blank lines and comments."""
    covered = {n for node in nodes for n in range(_first_line(node), node.end_lineno or 0)}
    rest = (
        lines[number].strip()
        for number in range(region.first, region.last)
        if number not in covered
    )
    return all(not line or line.startswith("#") for line in rest)


def _dedent_docstrings(nodes: list[ast.stmt]) -> None:
    """Take the indentation out of docstrings, which rendering puts back in front of each line."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            assert isinstance(docstring, ast.Expr)
            assert isinstance(docstring.value, ast.Constant)
            docstring.value.value = inspect.cleandoc(str(docstring.value.value))
