"""The statements of evolve blocks and what is in scope at each of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from evolve.propose.genetic.blocks import EvolveBlock
from evolve.propose.genetic.kinds import Kind, Scope, infer

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A statement of an evolve block.

    Attributes:
        body: The list of statements that it stands in.
        index: Its position there.
        scope: What is defined before it.
        function: The innermost function around it, or None at module level.
    """

    body: list[ast.stmt]
    index: int
    scope: Scope
    function: Function | None

    @property
    def statement(self) -> ast.stmt:
        """The statement itself."""
        return self.body[self.index]


def places(tree: ast.Module) -> list[Place]:
    """Return the statements inside evolve blocks in source order.

    Loops on a condition are left out: a change there may never end.
    """
    found: list[Place] = []
    _walk(tree.body, Scope(), None, None, found)
    return found


def comprehension_scope(generators: Iterable[ast.comprehension], scope: Scope) -> Scope:
    """Return the scope inside a comprehension."""
    for generator in generators:
        scope = scope.bind(_targets(generator.target, _element(generator.iter, scope)))
    return scope


def _walk(
    body: list[ast.stmt],
    scope: Scope,
    function: Function | None,
    block: EvolveBlock | None,
    found: list[Place],
) -> Scope:
    """Collect the places of ``body`` in order and return the scope after it."""
    for index, node in enumerate(body):
        if isinstance(node, EvolveBlock):
            scope = _walk(node.body, scope, function, node, found)
            continue
        inner_block = None if isinstance(node, ast.While) else block
        if inner_block is not None:
            found.append(Place(body, index, scope, function))
        if isinstance(node, Function):
            _walk(node.body, scope.bind(_arguments(node)), node, inner_block, found)
            continue
        inner = _inside(node, scope)
        ends = [_walk(part, inner, function, inner_block, found) for part in _parts(node)]
        scope = _after(node, scope) if not ends else _merge(scope, ends)
    return scope


def _parts(node: ast.stmt) -> list[list[ast.stmt]]:
    """Return the lists of statements that a compound statement holds."""
    owners = [node, *getattr(node, "handlers", []), *getattr(node, "cases", [])]
    names = ("body", "orelse", "finalbody")
    return [part for owner in owners for name in names if (part := getattr(owner, name, []))]


def _inside(node: ast.stmt, scope: Scope) -> Scope:
    """Return the scope at the beginning of a compound statement's body."""
    if isinstance(node, ast.For):
        return scope.bind(_targets(node.target, _element(node.iter, scope)))
    return scope


def _merge(before: Scope, ends: list[Scope]) -> Scope:
    """Return the scope after a compound statement, any part of which may have run."""
    names = {
        name: kind if all(end.names[name] is kind for end in ends) else Kind.OTHER
        for name, kind in before.names.items()
    }
    return Scope(
        names,
        numpy=next((end.numpy for end in ends if end.numpy), ""),
        math=next((end.math for end in ends if end.math), ""),
    )


def _after(node: ast.stmt, scope: Scope) -> Scope:
    """Return the scope after a simple statement."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                if alias.name == "numpy":
                    scope = replace(scope, numpy=alias.asname or alias.name)
                elif alias.name == "math":
                    scope = replace(scope, math=alias.asname or alias.name)
        case ast.Assign(targets=targets, value=value):
            kind = infer(value, scope)
            for target in targets:
                scope = scope.bind(_targets(target, kind))
        case ast.AnnAssign(target=target, annotation=annotation, value=ast.expr() as value):
            kind = _annotated(annotation)
            kind = infer(value, scope) if kind is Kind.OTHER else kind
            scope = scope.bind(_targets(target, kind))
        case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
            scope = scope.bind({name: infer(ast.BinOp(left=target, op=op, right=value), scope)})
    return scope


def _targets(target: ast.expr, kind: Kind) -> dict[str, Kind]:
    """Return what assigning a value of ``kind`` to ``target`` defines."""
    if isinstance(target, ast.Name):
        return {target.id: kind}
    if isinstance(target, ast.Tuple | ast.List):
        inner = Kind.NUMBER if kind is Kind.ARRAY else Kind.OTHER
        return {k: v for element in target.elts for k, v in _targets(element, inner).items()}
    return {}


def _element(iterable: ast.expr, scope: Scope) -> Kind:
    """Return the kind of what a loop over ``iterable`` yields."""
    match iterable:
        case ast.Call(func=ast.Name(id="range")):
            return Kind.NUMBER
        case _:
            return Kind.NUMBER if infer(iterable, scope) is Kind.ARRAY else Kind.OTHER


def _arguments(function: Function) -> Mapping[str, Kind]:
    """Return the kinds of a function's arguments: as annotated, or else as used."""
    arguments = function.args
    return {
        argument.arg: _annotated(argument.annotation)
        if argument.annotation is not None
        else _by_use(argument.arg, function)
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }


def _annotated(annotation: ast.expr) -> Kind:
    """Return the kind that an annotation declares."""
    text = ast.unparse(annotation)
    if text in ("float", "int"):
        return Kind.NUMBER
    if text == "bool":
        return Kind.CONDITION
    return Kind.ARRAY if "ndarray" in text or "NDArray" in text else Kind.OTHER


def _by_use(name: str, function: Function) -> Kind:
    """Take an argument without annotation for a number when arithmetic or comparisons use it."""
    users = [
        node
        for node in ast.walk(function)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.Name) and child.id == name
    ]
    if any(isinstance(node, ast.Subscript | ast.For | ast.comprehension) for node in users):
        return Kind.OTHER
    arithmetic = any(isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare) for node in users)
    return Kind.NUMBER if arithmetic else Kind.OTHER
