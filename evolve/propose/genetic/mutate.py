"""Mutations of one expression. Each takes a site and returns what should stand there instead.

The operators are those of typed genetic programming (Montana, 1995): subtree replacement,
insertion, hoist and point mutation, with perturbation of constants. None means that one does not
apply.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import numpy as np

from evolve.propose.genetic.grow import (
    ARITHMETIC,
    COMPARISONS,
    apply,
    choose,
    constant,
    expression,
    number,
    pick,
    rounded,
)
from evolve.propose.genetic.kinds import Kind, Scope, module_function
from evolve.propose.genetic.sites import Site, number_of, sites_below

Mutation: TypeAlias = Callable[[np.random.Generator, Site], ast.expr | None]

T = TypeVar("T")

#: Functions that stand in for one another; the last two rows are numpy's alone.
_ALIKE: Final = (
    ("sqrt", "log1p", "exp", "tanh"),
    ("minimum", "maximum"),
    ("max", "min", "mean"),
)


def perturb(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Change a number by a step whose relative size is log-uniform between 0.003 and 1.

    It is rounded to as many digits as the step is fine, so that coarse moves leave short numbers.
    """
    value = number_of(site.node)
    if value is None or abs(value) > 1e15:
        return None
    if isinstance(value, int) and (site.exact or rng.random() < 0.5):
        return number(_whole_step(rng, value))
    if rng.random() < 0.1:
        return constant(rng) if rng.random() < 0.5 else number(-value)
    step = math.exp(rng.uniform(math.log(0.003), 0.0))
    changed = value * math.exp(step * rng.normal()) if value else step * rng.normal()
    if not math.isfinite(changed):
        return None
    return number(rounded(changed, 1 + math.ceil(-math.log10(step))))


def _whole_step(rng: np.random.Generator, value: int) -> int:
    """Return a neighbour of ``value`` at a distance that grows with it; its sign stays."""
    distance = int(rng.geometric(1 / (1 + min(abs(value), 10**6) / 8)))
    changed = value + (distance if rng.random() < 0.5 else -distance)
    return changed if changed * value > 0 or value == 0 else value + distance


def regrow(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Exchange the expression for a new one."""
    kind = _growable(rng, site)
    return None if kind is None else expression(rng, site.scope, kind, int(rng.integers(1, 4)))


def combine(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Add, subtract, multiply or divide by a new expression."""
    if not site.kind.numeric:
        return _join_conditions(rng, site)
    kind = _growable(rng, site)
    if kind is None:
        return None
    other = expression(rng, site.scope, kind, int(rng.integers(0, 3)))
    left, right = (site.node, other) if rng.random() < 0.7 else (other, site.node)
    return ast.BinOp(left=left, op=pick(rng, ARITHMETIC)(), right=right)


def _join_conditions(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Restrict or widen a condition by another one."""
    if not site.scope.can_grow(site.kind):
        return None
    other = expression(rng, site.scope, site.kind, 1)
    if site.kind is Kind.MASK:
        return ast.BinOp(left=site.node, op=pick(rng, (ast.BitAnd, ast.BitOr))(), right=other)
    return ast.BoolOp(op=pick(rng, (ast.And, ast.Or))(), values=[site.node, other])


def wrap(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Put the expression inside a function, a power or a bound; negate a condition."""
    if site.kind is Kind.CONDITION:
        return ast.UnaryOp(op=ast.Not(), operand=site.node)
    if not site.kind.numeric:
        return None
    return apply(rng, site.scope, site.node, site.kind)


def condition(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Let the expression hold under a new condition only."""
    if not site.kind.numeric:
        return None
    return choose(rng, site.scope, site.node, site.kind)


def hoist(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Exchange the expression for a part of itself."""
    parts = [part.node for part in sites_below(site) if part.kind in site.accepts]
    return pick(rng, parts) if parts else None


def exchange(rng: np.random.Generator, site: Site) -> ast.expr | None:
    """Exchange an operator, a comparison, a function or a name for one of its like."""
    node = copy.deepcopy(site.node)
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op):
            node.op = pick(rng, _others(ARITHMETIC, type(op)))()
        case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() as op]):
            node.ops = [pick(rng, _others(COMPARISONS, type(op)))()]
        case ast.BoolOp(op=op):
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.Name(id=name):
            names = _others(site.scope.variables(site.kind), name)
            return ast.Name(id=pick(rng, names), ctx=ast.Load()) if names else None
        case ast.Call():
            return _exchange_function(rng, node, site.scope)
        case ast.IfExp(body=body, orelse=orelse):
            node.body, node.orelse = orelse, body
        case _:
            return None
    return node


def _exchange_function(rng: np.random.Generator, node: ast.Call, scope: Scope) -> ast.expr | None:
    """Exchange the function for one like it, or the two values of a choice for each other."""
    match node.func:
        case ast.Name(id="min" | "max") as builtin:
            builtin.id = "max" if builtin.id == "min" else "min"
            return node
        case ast.Attribute(attr="where") if len(node.args) == 3:
            node.args[1:] = node.args[:0:-1]
            return node
        case ast.Attribute() as function:
            name = module_function(function, scope)
            alike = next((names for names in _ALIKE if name in names), ())
            if not alike:
                return None
            function.attr = pick(rng, _others(alike, name))
            return node
        case _:
            return None


def _growable(rng: np.random.Generator, site: Site) -> Kind | None:
    """Choose a kind that the site accepts and that can be made there."""
    kinds = [kind for kind in site.accepts if site.scope.can_grow(kind)]
    return pick(rng, kinds) if kinds else None


def _others(items: Sequence[T], item: T) -> list[T]:
    return [other for other in items if other != item]
