"""The expressions of evolve blocks that may be exchanged, and for what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from evolve.propose.genetic.kinds import (
    ELEMENTWISE,
    Kind,
    Scope,
    infer,
    join,
    module_function,
)
from evolve.propose.genetic.scopes import Place, comprehension_scope

#: Where one operand is an array, the others may be numbers or arrays.
EITHER = (Kind.NUMBER, Kind.ARRAY)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """An expression in its place.

    Attributes:
        owner: The node that holds it.
        name: The owner's field.
        index: Its position when the field is a list, else None.
        kind: What it is.
        accepts: What may stand there instead; empty when nothing but its parts may change.
        scope: What can be named there.
        place: The statement it belongs to.
        exact: Whether only numbers may change, whole ones to whole ones: sizes, indices,
            arguments of functions that are not elementwise.
    """

    owner: ast.AST
    name: str
    index: int | None
    kind: Kind
    accepts: tuple[Kind, ...]
    scope: Scope
    place: Place
    exact: bool = False

    @property
    def node(self) -> ast.expr:
        """The expression that stands there now."""
        held = getattr(self.owner, self.name)
        node: ast.expr = held if self.index is None else held[self.index]
        return node

    def put(self, node: ast.expr) -> None:
        """Exchange the expression for ``node``."""
        if self.index is None:
            setattr(self.owner, self.name, node)
        else:
            getattr(self.owner, self.name)[self.index] = node


def number_of(node: ast.expr) -> int | float | None:
    """Return the value of a number written out, its sign included, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = number_of(node.operand)
        return None if value is None else -value
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    return node.value if isinstance(node.value, int | float) else None


def sites(place: Place) -> Iterator[Site]:
    """Yield the sites of a statement's own expressions, outer ones first."""
    for name, exact in _ROOTS.get(type(place.statement), ()):
        node = getattr(place.statement, name)
        for index, expression in enumerate(node) if isinstance(node, list) else [(None, node)]:
            if expression is not None:
                kind = infer(expression, place.scope)
                root = Site(
                    place.statement, name, index, kind, (kind,), place.scope, place, exact=exact
                )
                yield from _expand(root)


#: Statement to its fields that hold expressions, and whether these are exact.
_ROOTS: dict[type[ast.stmt], tuple[tuple[str, bool], ...]] = {
    ast.Return: (("value", False),),
    ast.Assign: (("targets", False), ("value", False)),
    ast.AugAssign: (("target", False), ("value", False)),
    ast.AnnAssign: (("target", False), ("value", False)),
    ast.Expr: (("value", False),),
    ast.If: (("test", False),),
    ast.For: (("iter", True),),
}


def _expand(site: Site) -> Iterator[Site]:
    """Yield ``site`` and the sites below it."""
    node = site.node
    if number_of(node) is not None:
        yield site
        return
    if site.kind is not Kind.OTHER and not isinstance(getattr(node, "ctx", None), ast.Store):
        yield site
    yield from sites_below(site)


def sites_below(site: Site) -> Iterator[Site]:
    """Yield the sites that are parts of ``site``."""
    for below in _children(site, site.node):
        yield from _expand(below)


def _children(site: Site, node: ast.expr) -> Iterator[Site]:
    """Yield the sites directly below ``site``."""
    match node:
        case ast.BinOp() | ast.UnaryOp() | ast.Compare():
            yield from _operation(site, node)
        case ast.IfExp():
            yield _child(site, node, "test")
            yield _child(site, node, "body", accepts=site.accepts)
            yield _child(site, node, "orelse", accepts=site.accepts)
        case ast.Call():
            yield from _call(site, node)
        case ast.Subscript():
            yield from _subscript(site, node)
        case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
            inner = replace(site, scope=comprehension_scope(node.generators, site.scope))
            yield from _parts(inner, node)
        case ast.Lambda() | ast.JoinedStr() | ast.Attribute() | ast.NamedExpr():
            return
        case _:
            yield from _parts(site, node)


def _operation(site: Site, node: ast.BinOp | ast.UnaryOp | ast.Compare) -> Iterator[Site]:
    """Yield the operands of arithmetic, logic or a comparison."""
    match node:
        case ast.BinOp(op=ast.Pow()):
            yield _child(site, node, "left")  # an exponent stays the small number that it is
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor()):
            yield from (_child(site, node, "left"), _child(site, node, "right"))
        case ast.BinOp():
            yield from _operands(site, [(node, "left", None), (node, "right", None)])
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            yield _child(site, node, "operand", accepts=site.accepts)
        case ast.UnaryOp():
            yield _child(site, node, "operand")
        case ast.Compare():
            spots = [(node, "comparators", i) for i in range(len(node.comparators))]
            yield from _operands(site, [(node, "left", None), *spots])


def _operands(site: Site, spots: list[tuple[ast.AST, str, int | None]]) -> Iterator[Site]:
    """Yield the operands of an elementwise operation."""
    children = [_child(site, *spot) for spot in spots]
    children = [
        replace(child, kind=Kind.NUMBER) if child.kind is Kind.OTHER else child
        for child in children
    ]
    free = set(EITHER) <= set(site.accepts)
    for child in children:
        others = any(other.kind.plural for other in children if other is not child)
        kind = join([child.kind])
        yield replace(child, accepts=EITHER if free or others else (kind,))


def _call(site: Site, node: ast.Call) -> Iterator[Site]:
    """Yield the arguments of a call."""
    name = module_function(node.func, site.scope)
    spots: list[tuple[ast.AST, str, int | None]] = [
        (node, "args", index) for index in range(len(node.args))
    ]
    if name in ELEMENTWISE or _is_elementwise_builtin(node):
        yield from _operands(site, spots)
    elif name == "where" and len(spots) == 3:
        yield _child(site, *spots[0])
        mask = infer(node.args[0], site.scope).plural
        for child in _operands(site, spots[1:]):
            yield replace(child, accepts=EITHER) if mask else child
    else:
        children = [_child(site, *spot) for spot in spots]
        children += [_child(site, keyword, "value") for keyword in node.keywords]
        yield from (replace(c, exact=site.exact or not c.kind.plural) for c in children)
    if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name):
        yield _child(site, node.func, "value")


def _is_elementwise_builtin(node: ast.Call) -> bool:
    """Return whether ``node`` is ``abs`` of one value, or ``min`` or ``max`` of several."""
    match node.func:
        case ast.Name(id="abs"):
            return len(node.args) == 1
        case ast.Name(id="min" | "max"):
            return len(node.args) > 1
        case _:
            return False


def _subscript(site: Site, node: ast.Subscript) -> Iterator[Site]:
    """Yield what is indexed, unless it is only named, and the index."""
    if not isinstance(node.value, ast.Name):
        yield _child(site, node, "value")
    index = _child(site, node, "slice")
    yield replace(index, exact=index.kind is not Kind.MASK)


def _parts(site: Site, node: ast.AST) -> Iterator[Site]:
    """Yield every expression directly below a node that has no rule of its own."""
    for name, value in ast.iter_fields(node):
        for index, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(part, ast.expr):
                yield _child(site, node, name, index)


def _child(
    site: Site,
    owner: ast.AST,
    name: str,
    index: int | None = None,
    accepts: tuple[Kind, ...] = (),
) -> Site:
    """Return the site below ``site`` that accepts its own kind only, unless told otherwise."""
    child = replace(site, owner=owner, name=name, index=index)
    kind = infer(child.node, site.scope)
    return replace(child, kind=kind, accepts=accepts or (kind,))
