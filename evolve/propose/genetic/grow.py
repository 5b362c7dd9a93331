"""New expressions from names in scope, constants and a closed set of operations.

Everything the genetic proposer writes of its own is made here: arithmetic, comparisons, choices,
and a few functions of numpy, the math module or the built-ins, whichever the program has.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

from evolve.propose.genetic.kinds import Kind, Scope

T = TypeVar("T")

ARITHMETIC: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div)
COMPARISONS: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
EXPONENTS: Final = (2, 3, 0.5, -1)
#: Numbers that come up in formulas more often than others.
_COMMON: Final = (1, 2, 3, 4, 5, 10, 0.5, 0.1, 0.25)


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of ``items``, each equally likely."""
    return items[int(rng.integers(len(items)))]


def number(value: float) -> ast.expr:
    """Return the syntax of a number; a negative one as Python itself would parse it."""
    if value < 0:
        return ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=-value))
    return ast.Constant(value=value)


def rounded(value: float, digits: int) -> float:
    """Return ``value`` to ``digits`` significant digits."""
    return float(f"{value:.{digits - 1}e}")


def constant(rng: np.random.Generator) -> ast.expr:
    """Return a number: a common one, or log-uniform between 0.01 and 100 to two digits."""
    if rng.random() < 0.4:
        return number(_COMMON[rng.integers(len(_COMMON))])
    value = rounded(math.exp(rng.uniform(math.log(0.01), math.log(100))), 2)
    return number(int(value) if value >= 10 else value)


def expression(
    rng: np.random.Generator, scope: Scope, kind: Kind, depth: int, *, small: float = 0.35
) -> ast.expr:
    """Return a new expression of ``kind``, a kind that ``scope.can_grow``.

    Args:
        rng: Source of chance.
        scope: What may be named.
        kind: What is wanted.
        depth: Operations on the longest path at most.
        small: Probability, at each step, of ending with a name or a number.
    """
    if kind.logical:
        return _comparison(rng, scope, kind, depth)
    if depth <= 0 or rng.random() < small:
        return _leaf(rng, scope, kind)
    if rng.random() < 0.5:
        left, right = _pair(rng, scope, kind, depth - 1)
        return ast.BinOp(left=left, op=pick(rng, ARITHMETIC)(), right=right)
    return apply(rng, scope, expression(rng, scope, kind, depth - 1), kind)


def apply(rng: np.random.Generator, scope: Scope, node: ast.expr, kind: Kind) -> ast.expr:
    """Return ``node`` inside a function, a power, a bound or a choice; the kind stays ``kind``."""
    functions = _functions(scope)
    choice = rng.integers(len(functions) + 3)
    if choice < len(functions):
        return functions[choice](node)
    if choice == len(functions):
        return power(rng, node)
    if choice == len(functions) + 1:
        other = expression(rng, scope, Kind.NUMBER, 1)
        names = ("minimum", "maximum") if scope.numpy else ("min", "max")
        return call(scope, pick(rng, names), node, other)
    return choose(rng, scope, node, kind)


def choose(rng: np.random.Generator, scope: Scope, node: ast.expr, kind: Kind) -> ast.expr:
    """Return ``node`` under a condition, and something else where that does not hold."""
    plural = kind.plural and scope.can_grow(Kind.MASK)
    condition = expression(rng, scope, Kind.MASK if plural else Kind.CONDITION, 1)
    other = expression(rng, scope, kind if plural and rng.random() < 0.5 else Kind.NUMBER, 1)
    first, second = (node, other) if rng.random() < 0.5 else (other, node)
    if scope.numpy:
        return call(scope, "where", condition, first, second)
    return ast.IfExp(test=condition, body=first, orelse=second)


def power(rng: np.random.Generator, node: ast.expr) -> ast.expr:
    """Return ``node`` to a small constant power; powers are not nested, so integers stay short."""
    if any(isinstance(inner, ast.Pow) for inner in ast.walk(node)):
        return ast.BinOp(left=node, op=ast.Mult(), right=constant(rng))
    return ast.BinOp(left=node, op=ast.Pow(), right=number(pick(rng, EXPONENTS)))


def call(scope: Scope, name: str, *arguments: ast.expr) -> ast.expr:
    """Return a call of the function ``name``: numpy's, or else the built-in or math's."""
    func: ast.expr = ast.Name(id=name, ctx=ast.Load())
    if module := scope.numpy or (scope.math if name not in ("abs", "min", "max") else ""):
        func = ast.Attribute(value=ast.Name(id=module, ctx=ast.Load()), attr=name, ctx=ast.Load())
    return ast.Call(func=func, args=list(arguments), keywords=[])


def _functions(scope: Scope) -> list[Callable[[ast.expr], ast.expr]]:
    """Return functions of one number that are defined everywhere."""

    def absolute(node: ast.expr) -> ast.expr:
        return call(scope, "abs", node)

    functions: list[Callable[[ast.expr], ast.expr]] = [absolute]
    if scope.numpy or scope.math:
        functions += [
            lambda node: call(scope, "sqrt", absolute(node)),
            lambda node: call(scope, "log1p", absolute(node)),
            lambda node: call(scope, "exp", ast.UnaryOp(op=ast.USub(), operand=absolute(node))),
        ]
    return functions


def _leaf(rng: np.random.Generator, scope: Scope, kind: Kind) -> ast.expr:
    """Return a name or a number; a number of an array where the program has no other."""
    names = scope.variables(kind)
    if kind is Kind.NUMBER:
        arrays = scope.variables(Kind.ARRAY) if scope.numpy else []
        if arrays and rng.random() < 0.1:
            node = ast.Name(id=pick(rng, arrays), ctx=ast.Load())
            return call(scope, pick(rng, ("max", "min", "mean")), node)
        if not names or rng.random() < 0.5:
            return constant(rng)
    return ast.Name(id=pick(rng, names), ctx=ast.Load())


def _pair(
    rng: np.random.Generator, scope: Scope, kind: Kind, depth: int
) -> tuple[ast.expr, ast.expr]:
    """Return two operands whose combination is of ``kind``."""
    first = expression(rng, scope, kind, depth)
    second = expression(rng, scope, Kind.NUMBER if rng.random() < 0.5 else kind, depth)
    if _same(first, second):
        second = constant(rng)
    return (first, second) if rng.random() < 0.5 else (second, first)


def _comparison(rng: np.random.Generator, scope: Scope, kind: Kind, depth: int) -> ast.expr:
    """Return a condition on numbers, or for a mask on the elements of arrays."""
    numeric = Kind.ARRAY if kind is Kind.MASK else Kind.NUMBER
    left = expression(rng, scope, numeric, depth - 1)
    right = expression(rng, scope, Kind.NUMBER, depth - 1, small=0.8)
    if _same(left, right):
        right = constant(rng)
    return ast.Compare(left=left, ops=[pick(rng, COMPARISONS)()], comparators=[right])


def _same(one: ast.expr, other: ast.expr) -> bool:
    return ast.dump(one) == ast.dump(other)
