"""Mutations of whole statements: new assignments, and assignments taken away."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np

from evolve.propose.genetic.grow import ARITHMETIC, expression, pick
from evolve.propose.genetic.kinds import Kind
from evolve.propose.genetic.scopes import Place
from evolve.propose.genetic.sites import Site, sites


def name_part(rng: np.random.Generator, found: Sequence[Place]) -> bool:
    """Give a part of a statement a name of its own in a new assignment before it.

    The program computes what it did; later mutations can use the name.
    """
    parts = [
        site
        for place in found
        for site in sites(place)
        if _is_worth_a_name(site) and site.scope is place.scope
    ]
    if not parts:
        return False
    site = pick(rng, parts)
    name = _new_name(site.place)
    _insert(site.place, _assignment(name, site.node))
    site.put(ast.Name(id=name, ctx=ast.Load()))
    return True


def add_term(rng: np.random.Generator, found: Sequence[Place]) -> bool:
    """Change a variable by a new expression, in a new assignment after its own."""
    assignments = [
        (place, name, kind)
        for place in found
        if (name := _assigned(place))
        and (kind := _value_kind(place)).numeric
        and place.scope.bind({name: kind}).can_grow(kind)
    ]
    if not assignments:
        return False
    place, name, kind = pick(rng, assignments)
    term = expression(rng, place.scope.bind({name: kind}), kind, 2)
    value = ast.BinOp(
        left=ast.Name(id=name, ctx=ast.Load()), op=pick(rng, ARITHMETIC)(), right=term
    )
    _insert(place, _assignment(name, value), after=True)
    return True


def remove(rng: np.random.Generator, found: Sequence[Place]) -> bool:
    """Take an assignment away; its value replaces the name where nothing else defines it."""
    removable = [place for place in found if _assigned(place) and len(place.body) > 1]
    if not removable:
        return False
    place = pick(rng, removable)
    if _assigned(place) not in place.scope.names and not _inline(place):
        return False
    del place.body[place.index]
    return True


def _inline(place: Place) -> bool:
    """Put the assigned value where its name is used, once and in a later statement beside it."""
    statement, name = place.statement, _assigned(place)
    if place.function is None or not isinstance(statement, ast.Assign):
        return False
    later = place.body[place.index + 1 :]
    uses = [node for after in later for node in ast.walk(after) if _loads(node, name)]
    mentions = [node for node in ast.walk(place.function) if _names(node, name)]
    if len(uses) != 1 or len(mentions) != 2:
        return False
    inliner = _Inliner(name, statement.value)
    place.body[place.index + 1 :] = [inliner.visit(after) for after in later]
    return True


class _Inliner(ast.NodeTransformer):
    def __init__(self, name: str, value: ast.expr) -> None:
        self._name, self._value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value if _loads(node, self._name) else node


def _names(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _loads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def _assigned(place: Place) -> str:
    """Return the name that the statement assigns when it is a plain assignment to one, or empty."""
    match place.statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _value_kind(place: Place) -> Kind:
    """Return the kind of the value that the assignment gives."""
    values = [
        site for site in sites(place) if site.name == "value" and site.owner is place.statement
    ]
    return values[0].kind if values else Kind.OTHER


def _is_worth_a_name(site: Site) -> bool:
    """Return whether the site is a numeric operation that is not already a statement's value."""
    return (
        site.kind.numeric
        and not site.exact
        and site.owner is not site.place.statement
        and isinstance(site.node, ast.BinOp | ast.Call)
    )


def _new_name(place: Place) -> str:
    """Return a name that nothing around the statement uses."""
    around: ast.AST = place.function or ast.Module(body=place.body, type_ignores=[])
    used = {node.id for node in ast.walk(around) if isinstance(node, ast.Name)} | set(
        place.scope.names
    )
    return next(name for i in range(1, len(used) + 2) if (name := f"part_{i}") not in used)


def _assignment(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value)


def _insert(place: Place, statement: ast.stmt, *, after: bool = False) -> None:
    place.body.insert(place.index + after, statement)
