"""The genetic proposer: typed mutation and crossover, from chance alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from evolve.core.program import Program
from evolve.core.syntax import parse_quietly
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.genetic import mutate, statements
from evolve.propose.genetic.blocks import Draft
from evolve.propose.genetic.crossover import cross
from evolve.propose.genetic.scopes import Place, places
from evolve.propose.genetic.simplify import simplify
from evolve.propose.genetic.sites import number_of, sites

#: Mutations of an expression and how often each is tried.
EXPRESSION_MUTATIONS: Final[dict[str, tuple[mutate.Mutation, float]]] = {
    "perturb": (mutate.perturb, 0.30),
    "regrow": (mutate.regrow, 0.14),
    "combine": (mutate.combine, 0.13),
    "wrap": (mutate.wrap, 0.05),
    "condition": (mutate.condition, 0.14),
    "hoist": (mutate.hoist, 0.06),
    "exchange": (mutate.exchange, 0.08),
}
StatementMutation = Callable[[np.random.Generator, Sequence[Place]], bool]
#: Mutations of statements and how often each is tried.
STATEMENT_MUTATIONS: Final[dict[str, tuple[StatementMutation, float]]] = {
    "name_part": (statements.name_part, 0.03),
    "add_term": (statements.add_term, 0.04),
    "remove": (statements.remove, 0.03),
}
_NAMES: Final = (*EXPRESSION_MUTATIONS, *STATEMENT_MUTATIONS)
_WEIGHTS: Final = np.array(
    [weight for _, weight in (*EXPRESSION_MUTATIONS.values(), *STATEMENT_MUTATIONS.values())]
)
#: Attempts at one proposal before it is given up.
_ATTEMPTS: Final = 30


class GeneticProposer:
    """Vary the syntax tree of a program's evolve blocks (genetic programming).

    What it writes comes from the parents and from a closed set of operations on the names in scope
    (`evolve.propose.genetic.grow`): no imports, no attributes, no calls beyond a few functions of
    arithmetic, no loops. So a population that began with trusted code stays as harmless as that
    code; parents that a model wrote make it as arbitrary as a model's. Comments inside changed
    blocks are lost; everything outside the blocks, and every signature, stays as it is.

    Args:
        mutations: Mean number of mutations in one proposal (geometric), at least 1.
        crossover: Probability of a crossover with an inspiration before them, where there is one.
        growth: Syntax-tree nodes that the blocks may have beyond the seed program's.

    Raises:
        ValueError: an argument is out of its range.
    """

    name = "genetic"
    arbitrary_code = False

    def __init__(
        self, *, mutations: float = 2.0, crossover: float = 0.2, growth: int = 100
    ) -> None:
        if mutations < 1:
            raise ValueError(f"mutations is {mutations}, must be at least 1")
        if not 0 <= crossover <= 1:
            raise ValueError(f"crossover is {crossover}, must be between 0 and 1")
        if growth < 0:
            raise ValueError(f"growth is {growth}, must not be negative")
        self._mutations, self._crossover, self._growth = mutations, crossover, growth

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Make one candidate; the same generator state gives the same candidate."""
        try:
            return self._propose(context)
        except RecursionError:
            return Rejected("syntax", "an expression is nested too deeply to be varied")

    def _propose(self, context: Context) -> Candidate | Rejected:
        parent = context.parent.program
        original = Draft(parent)
        if not original.blocks:
            return Rejected(
                "syntax", "no evolve block holds whole Python statements, so nothing can vary"
            )
        seed_size = Draft(context.problem.seed_program).size()
        limit = max(seed_size + self._growth, original.size())
        for _ in range(_ATTEMPTS):
            draft = Draft(parent)
            operators, parents = self._vary(draft, context)
            _tidy(draft)
            if draft.size() <= limit and _is_new(program := draft.render(), parent):
                return Candidate(program, parents, ", ".join(operators))
        return Rejected("no_op", f"{_ATTEMPTS} attempts left the program as it was or too long")

    def _vary(self, draft: Draft, context: Context) -> tuple[list[str], tuple[int, ...]]:
        """Apply a random number of operators; return their names and the parents involved."""
        rng = context.rng
        done: list[str] = []
        parents: tuple[int, ...] = (context.parent.id,)
        if context.inspirations and rng.random() < self._crossover:
            mate = context.inspirations[rng.integers(len(context.inspirations))]
            if cross(rng, _places(draft), _places(Draft(mate.program))):
                done.append("crossover")
                parents = (context.parent.id, mate.id)
        for _ in range(rng.geometric(1 / self._mutations) - bool(done)):
            name = _NAMES[rng.choice(len(_NAMES), p=_WEIGHTS / _WEIGHTS.sum())]
            if _apply(name, rng, _places(draft)):
                done.append(name)
        return done, parents


def _apply(name: str, rng: np.random.Generator, found: Sequence[Place]) -> bool:
    """Apply one operator somewhere; return whether it did."""
    if name in STATEMENT_MUTATIONS:
        return STATEMENT_MUTATIONS[name][0](rng, found)
    mutation, _ = EXPRESSION_MUTATIONS[name]
    if mutation is mutate.perturb:
        spots = [s for place in found for s in sites(place) if number_of(s.node) is not None]
    else:
        spots = [s for place in found for s in sites(place) if not s.exact]
    if not spots:
        return False
    site = spots[rng.integers(len(spots))]
    if (node := mutation(rng, site)) is None:
        return False
    site.put(node)
    return True


def _places(draft: Draft) -> list[Place]:
    return [place for tree in draft.trees for place in places(tree)]


def _tidy(draft: Draft) -> None:
    """Simplify the statements of the changed blocks."""
    for block in draft.blocks:
        if block.changed:
            block.statements[:] = [simplify(node) for node in block.statements]


def _is_new(program: Program, parent: Program) -> bool:
    """Return whether ``program`` differs from its parent and all that differs is valid Python."""
    changed = [text for path, text in program.files.items() if text != parent.files[path]]
    return bool(changed) and all(isinstance(parse_quietly(text), ast.Module) for text in changed)
