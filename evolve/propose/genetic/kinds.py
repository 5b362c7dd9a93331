"""What kind of value an expression has, as far as its syntax tells.

Python does not declare types, so kinds come from annotations, from the way a name is used, and
from the functions that make a value. What they do not tell is `Kind.OTHER` and left alone.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


class Kind(enum.Enum):
    """A kind of value. The plural ones are numpy arrays of the singular ones."""

    NUMBER = "number"
    ARRAY = "array"
    CONDITION = "condition"
    MASK = "mask"
    OTHER = "other"

    @property
    def numeric(self) -> bool:
        """Whether arithmetic works on it."""
        return self in (Kind.NUMBER, Kind.ARRAY)

    @property
    def logical(self) -> bool:
        """Whether it decides between two values."""
        return self in (Kind.CONDITION, Kind.MASK)

    @property
    def plural(self) -> bool:
        """Whether it is an array."""
        return self in (Kind.ARRAY, Kind.MASK)


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be named at one place of a program.

    Attributes:
        names: Variable to kind, in the order of definition.
        numpy: The name that numpy is imported under, or empty.
        math: The name that the math module is imported under, or empty.
    """

    names: Mapping[str, Kind] = field(default_factory=dict)
    numpy: str = ""
    math: str = ""

    def bind(self, names: Mapping[str, Kind]) -> Scope:
        """Return this scope with ``names`` defined, hiding earlier meanings."""
        return replace(self, names={**self.names, **names}) if names else self

    def variables(self, kind: Kind) -> list[str]:
        """Return the variables of ``kind`` in the order of definition, private ones left out."""
        return [
            name for name, known in self.names.items() if known is kind and not name.startswith("_")
        ]

    def can_grow(self, kind: Kind) -> bool:
        """Return whether an expression of ``kind`` can be made from names and constants alone."""
        if kind.plural:
            return bool(self.numpy and self.variables(Kind.ARRAY))
        return kind is not Kind.OTHER


#: Functions of numpy by the shape of what they return.
# fmt: off
ELEMENTWISE = frozenset((
    "abs", "absolute", "arctan", "ceil", "clip", "cos", "exp", "expm1", "fabs", "floor", "fmax",
    "fmin", "hypot", "log", "log10", "log1p", "log2", "maximum", "minimum", "mod", "power", "rint",
    "round", "sign", "sin", "sqrt", "square", "tan", "tanh",
))
REDUCTIONS = frozenset((
    "amax", "amin", "argmax", "argmin", "dot", "max", "mean", "median", "min", "prod", "ptp", "std",
    "sum", "var",
))
ARRAY_MAKERS = frozenset((
    "arange", "argsort", "array", "asarray", "column_stack", "concatenate", "copy", "cumsum",
    "diff", "empty", "empty_like", "eye", "full", "full_like", "hstack", "linspace", "ones",
    "ones_like", "outer", "repeat", "roll", "sort", "stack", "tile", "vstack", "zeros",
    "zeros_like",
))
TESTS = frozenset((
    "isclose", "isfinite", "isinf", "isnan", "logical_and", "logical_not", "logical_or",
))
_NUMBER_CALLS = frozenset(("abs", "float", "int", "len", "max", "min", "pow", "round", "sum"))
_ARRAY_METHODS = frozenset((
    "astype", "clip", "copy", "cumsum", "flatten", "ravel", "reshape", "round",
))
# fmt: on
_CONTAINERS = (ast.List, ast.ListComp, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr)


def infer(node: ast.expr, scope: Scope) -> Kind:
    """Return the kind of ``node``'s value."""
    return _Inference(scope).visit(node)


def join(kinds: Iterable[Kind]) -> Kind:
    """Return the kind of an elementwise combination; what is unknown counts as a number."""
    return Kind.ARRAY if any(kind.plural for kind in kinds) else Kind.NUMBER


def module_function(func: ast.expr, scope: Scope) -> str:
    """Return the function's name when ``func`` is numpy's or math's, else an empty string."""
    match func:
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return name if module in (scope.numpy, scope.math) else ""
        case _:
            return ""


class _Inference(ast.NodeVisitor):
    """Bottom-up inference; every visitor returns a kind."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def visit(self, node: ast.AST) -> Kind:
        kind: Kind = super().visit(node)
        return kind

    def generic_visit(self, node: ast.AST) -> Kind:  # noqa: ARG002 - the visitor's signature
        return Kind.OTHER

    def visit_Constant(self, node: ast.Constant) -> Kind:
        if isinstance(node.value, bool):
            return Kind.CONDITION
        return Kind.NUMBER if isinstance(node.value, int | float) else Kind.OTHER

    def visit_Name(self, node: ast.Name) -> Kind:
        return self._scope.names.get(node.id, Kind.OTHER)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Kind:
        return Kind.CONDITION if isinstance(node.op, ast.Not) else self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> Kind:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor):
            return left if left.logical and left is right else Kind.OTHER
        if _is_container(node.left) or _is_container(node.right):
            return Kind.OTHER
        if left is right is Kind.OTHER and isinstance(node.op, ast.Add | ast.Mult | ast.Mod):
            return Kind.OTHER
        return join((left, right))

    def visit_BoolOp(self, node: ast.BoolOp) -> Kind:
        kinds = {self.visit(value) for value in node.values}
        return Kind.CONDITION if kinds == {Kind.CONDITION} else Kind.OTHER

    def visit_Compare(self, node: ast.Compare) -> Kind:
        kinds = [self.visit(value) for value in (node.left, *node.comparators)]
        return Kind.MASK if any(kind.plural for kind in kinds) else Kind.CONDITION

    def visit_IfExp(self, node: ast.IfExp) -> Kind:
        kinds = [self.visit(node.body), self.visit(node.orelse)]
        return join(kinds) if all(kind.numeric for kind in kinds) else Kind.OTHER

    def visit_Subscript(self, node: ast.Subscript) -> Kind:
        if not (base := self.visit(node.value)).plural:
            return Kind.OTHER
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if any(isinstance(index, ast.Slice) or self.visit(index).plural for index in indices):
            return base
        return Kind.NUMBER if base is Kind.ARRAY else Kind.CONDITION

    def visit_Attribute(self, node: ast.Attribute) -> Kind:
        if module_function(node, self._scope) in ("pi", "e"):
            return Kind.NUMBER
        if node.attr == "T":
            return self.visit(node.value)
        is_size = node.attr == "size" and self.visit(node.value).plural
        return Kind.NUMBER if is_size else Kind.OTHER

    def visit_Call(self, node: ast.Call) -> Kind:
        if isinstance(node.func, ast.Name):
            return self._builtin(node, node.func.id)
        if name := module_function(node.func, self._scope):
            return self._function(node, name)
        if isinstance(node.func, ast.Attribute) and self.visit(node.func.value) is Kind.ARRAY:
            if node.func.attr in REDUCTIONS:
                return Kind.ARRAY if node.args or node.keywords else Kind.NUMBER
            return Kind.ARRAY if node.func.attr in _ARRAY_METHODS else Kind.OTHER
        return Kind.OTHER

    def _builtin(self, node: ast.Call, name: str) -> Kind:
        if name == "bool":
            return Kind.CONDITION
        if name == "abs" and node.args:
            return join([self.visit(node.args[0])])
        return Kind.NUMBER if name in _NUMBER_CALLS else Kind.OTHER

    def _function(self, node: ast.Call, name: str) -> Kind:
        kinds = [self.visit(argument) for argument in node.args]
        if name in ELEMENTWISE or name == "where":
            return join(kinds)
        if name in REDUCTIONS:
            return Kind.ARRAY if node.keywords else Kind.NUMBER
        if name in TESTS:
            return Kind.MASK if any(kind.plural for kind in kinds) else Kind.CONDITION
        return Kind.ARRAY if name in ARRAY_MAKERS else Kind.OTHER


def _is_container(node: ast.expr) -> bool:
    return isinstance(node, _CONTAINERS) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
