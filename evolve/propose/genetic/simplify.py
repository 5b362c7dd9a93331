"""Make expressions shorter without changing what they compute, so that programs stay readable."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Final

from evolve.propose.genetic.grow import number
from evolve.propose.genetic.sites import number_of

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def simplify(node: ast.stmt) -> ast.stmt:
    """Return ``node`` with arithmetic on written-out numbers done and neutral operands gone."""
    simplified = _Simplifier().visit(node)
    assert isinstance(simplified, ast.stmt)
    return simplified


class _Simplifier(ast.NodeTransformer):
    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.USub):
            if isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.USub):
                return inner.operand
            if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
                return ast.BinOp(left=inner.right, op=ast.Sub(), right=inner.left)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return _folded(node) or _neutral(node) or _signed(node) or node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(
                func=ast.Attribute(attr="abs") | ast.Name(id="abs"),
                args=[ast.Call(func=inner) as argument],
            ) if ast.dump(inner) == ast.dump(node.func):
                return argument
            case ast.Call(func=ast.Attribute(attr="where"), args=[_, first, second]) if ast.dump(
                first
            ) == ast.dump(second):
                return first
            case _:
                return node


def _folded(node: ast.BinOp) -> ast.expr | None:
    """Return the value of an operation on two numbers."""
    left, right = number_of(node.left), number_of(node.right)
    operation = _ARITHMETIC.get(type(node.op))
    if left is None or right is None or operation is None:
        return None
    try:
        value = operation(left, right)
        finite = math.isfinite(value)
    except (ZeroDivisionError, OverflowError):
        return None
    if not finite:
        return None
    short = float(f"{value:.12g}")  # 0.1 + 0.2 is 0.3 to its readers
    return number(short if isinstance(value, float) and len(str(short)) < 10 else value)


def _neutral(node: ast.BinOp) -> ast.expr | None:
    """Return the operand that an addition of zero or a multiplication by one leaves as it is."""
    match node.op, number_of(node.left), number_of(node.right):
        case (ast.Add(), 0, _) | (ast.Mult(), 1, _):
            return node.right
        case (ast.Add() | ast.Sub(), _, 0) | (ast.Mult() | ast.Div(), _, 1):
            return node.left
        case _:
            return None


def _signed(node: ast.BinOp) -> ast.expr | None:
    """Return a sum of ``a`` and ``-b`` as a difference, and the other way round."""
    if not isinstance(node.op, ast.Add | ast.Sub):
        return None
    opposite = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    match node.right:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ast.BinOp(left=node.left, op=opposite, right=operand)
        case _:
            return None
