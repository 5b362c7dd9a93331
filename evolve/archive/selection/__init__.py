"""Who becomes a parent, and which other elites a proposal sees.

A selector is a function of the `State` and a generator; `SELECTORS` are those that a configuration
can name. What each of them looks at beside the elites' fitness is folded from committed evaluations
in `evolve.archive.census`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from evolve.archive.selection.adaptive import adaptive
from evolve.archive.selection.base import Profile, Selector, State
from evolve.archive.selection.cases import clusters, pareto
from evolve.archive.selection.inspirations import EVEN, Mix, inspirations
from evolve.archive.selection.plain import (
    best_of_n,
    greedy,
    mixed,
    rank,
    sequential,
    uniform,
)
from evolve.archive.selection.puct import puct
from evolve.archive.selection.weighted import annealed, curiosity, novelty, weighted

__all__ = ["EVEN", "SELECTORS", "Mix", "Profile", "Selector", "State", "inspirations"]

#: The selectors that a configuration can name; options are keyword arguments.
SELECTORS: Mapping[str, Callable[..., Selector]] = MappingProxyType(
    {
        "adaptive": adaptive,
        "mixed": mixed,
        "uniform": uniform,
        "rank": rank,
        "softmax": annealed,
        "curiosity": curiosity,
        "novelty": novelty,
        "weighted": weighted,
        "clusters": clusters,
        "pareto": pareto,
        "puct": puct,
        "greedy": greedy,
        "sequential": sequential,
        "best_of_n": best_of_n,
    }
)
