"""Crossover: a part of one program takes the place of a part of another (Koza, 1992)."""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence

import numpy as np

from evolve.propose.genetic.grow import pick
from evolve.propose.genetic.scopes import Place
from evolve.propose.genetic.sites import Site, sites

#: How often a random target is tried before the two programs count as having nothing to exchange.
_TRIES = 8


def cross(rng: np.random.Generator, found: Sequence[Place], donors: Sequence[Place]) -> bool:
    """Put an expression of ``donors`` in place of one of its kind in ``found``.

    Only expressions whose every name is in scope at the target, with the same kind, are taken.
    """
    targets = [site for place in found for site in sites(place) if _is_open(site)]
    sources = [site for place in donors for site in sites(place) if _is_substantial(site)]
    if not targets or not sources:
        return False
    for _ in range(_TRIES):
        target = pick(rng, targets)
        fitting = [source for source in sources if _fits(source, target)]
        if fitting:
            target.put(copy.deepcopy(pick(rng, fitting).node))
            return True
    return False


def _is_open(site: Site) -> bool:
    return not site.exact and (site.kind.numeric or site.kind.logical)


def _is_substantial(site: Site) -> bool:
    """Return whether the site is an operation rather than a lone name or number."""
    return _is_open(site) and isinstance(
        site.node, ast.BinOp | ast.Call | ast.Compare | ast.BoolOp | ast.IfExp
    )


def _fits(source: Site, target: Site) -> bool:
    """Return whether the source's expression means the same at the target."""
    if source.kind not in target.accepts or ast.dump(source.node) == ast.dump(target.node):
        return False
    return all(
        _known(node.id, source, target)
        for node in ast.walk(source.node)
        if isinstance(node, ast.Name)
    )


def _known(name: str, source: Site, target: Site) -> bool:
    """Return whether ``name`` is the same variable or module at both sites."""
    if name in source.scope.names:
        return target.scope.names.get(name) is source.scope.names[name]
    return name in _BUILTINS or (
        name == source.scope.numpy == target.scope.numpy
        or name == source.scope.math == target.scope.math
    )


_BUILTINS = frozenset(("abs", "min", "max"))
