"""The random choices of one iteration, from the run's seed and the iteration alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np

from evolve.config.problem import Problem
from evolve.core.errors import StoreError
from evolve.core.program import Program
from evolve.engine.history import History, varies
from evolve.engine.population import Population
from evolve.propose.base import (
    INSTRUCT,
    Attempt,
    Complete,
    Context,
    Individual,
    Instruction,
    Proposer,
)
from evolve.propose.portfolio import Portfolio
from evolve.propose.vectors import VectorIndex, VectorView
from evolve.store.records import ProposalRecord


@dataclass(frozen=True, slots=True)
class Draw:
    """Who varies what in an iteration, with what chance, and what it knows of earlier ones."""

    operator: Proposer
    island: int
    parent: Individual
    inspirations: tuple[Individual, ...]
    rng: np.random.Generator
    seed: int
    attempts: tuple[Attempt, ...] = ()
    hints: tuple[str, ...] = ()
    trials: tuple[Individual, ...] = ()
    instruction: Instruction | None = None
    vectors: VectorView = field(default_factory=lambda: VectorIndex().view(0))

    def context(self, problem: Problem, complete: Complete) -> Context:
        """Return what the operator is given."""
        return Context(
            problem=problem,
            parent=self.parent,
            inspirations=self.inspirations,
            rng=deepcopy(self.rng),  # it may be asked twice
            seed=self.seed,
            complete=complete,
            attempts=self.attempts,
            hints=self.hints,
            instruction=self.instruction.text if self.instruction else "",
            trials=self.trials,
            vectors=self.vectors,
        )


def draw(
    seed: int, iteration: int, portfolio: Portfolio, population: Population, history: History
) -> Draw:
    """Choose operator, island, parent and inspirations for ``iteration``."""
    rng = np.random.default_rng([seed, iteration])
    island = population.turn(iteration, rng)

    def can_work(operator: Proposer) -> bool:
        kind = varies(operator)
        if kind == "failure":
            return history.failure() is not None
        if kind == "series":
            return _root(operator, population, history) is not None
        mates: int = getattr(operator, "mates", 0)
        return mates <= population.most_inspirations(island)

    sent = history.mail.submitted(iteration)
    set_task = sent or portfolio.writes(iteration)
    operator = set_task or portfolio.choose(rng, can_work, island)
    parent, inspirations = population.choose(island, rng)
    if set_task is not None and history.seed is not None:
        parent, inspirations = population.individual(history.seed), ()
    failure = history.failure()
    if varies(operator) == "failure" and failure is not None:
        failed, origin = failure
        parent = population.individual(failed)
        working = () if origin is None else (population.individual(origin),)
        inspirations = (*working, *(other for other in inspirations if other.id != origin))
    elif varies(operator) == "series":
        root = _root(operator, population, history)
        parent = parent if root is None else population.individual(root)
        inspirations = ()
    individuals = [parent, *inspirations]
    drawn = _draw(seed, iteration, operator, island, individuals, population, history)
    shown = portfolio.instruction(operator, np.random.default_rng([seed, iteration, 3]))
    return replace(drawn, instruction=shown)


def draw_next(
    seed: int, portfolio: Portfolio, population: Population, history: History, iteration: int
) -> Draw:
    """Draw an iteration that nobody has begun: it is told what was sent until now."""
    history.mail.collect(iteration)
    drawn = draw(seed, iteration, portfolio, population, history)
    history.begun(drawn.operator.name, [drawn.parent.id])
    return drawn


def redraw(
    seed: int,
    begun: ProposalRecord,
    portfolio: Portfolio,
    population: Population,
    history: History,
) -> Draw:
    """Return the draw of an iteration that had begun, whatever the archive holds by now.

    Raises:
        StoreError: its operator is not configured.
    """
    if begun.operator == INSTRUCT:
        operator = portfolio.writes(begun.iteration)
    else:
        named = portfolio.named(begun.operator, begun.model)
        operator = named or history.mail.submitted(begun.iteration)
    if operator is None:
        raise StoreError(
            f"iteration {begun.iteration} was begun by the operator {begun.operator!r}, which is "
            "not configured"
        )
    ids = (*begun.parents, *begun.inspirations)
    individuals = [population.individual(number) for number in ids]
    drawn = _draw(seed, begun.iteration, operator, begun.island, individuals, population, history)
    if begun.instruction is None or portfolio.instructor is None:
        return drawn
    return replace(drawn, instruction=portfolio.instructor.pool.get(begun.instruction))


def _draw(
    seed: int,
    iteration: int,
    operator: Proposer,
    island: int,
    individuals: Sequence[Individual],
    population: Population,
    history: History,
) -> Draw:
    """Give the operator a generator of its own, so that it does not depend on the choices."""
    rng = np.random.default_rng([seed, iteration, 1])
    parent, *inspirations = individuals
    return Draw(
        operator=operator,
        island=island,
        parent=parent,
        inspirations=tuple(inspirations),
        seed=int(rng.integers(2**31)),
        rng=rng,
        attempts=history.attempts(parent.id),
        hints=history.mail.hints(iteration),
        vectors=history.embedded.view(island),
        trials=tuple(map(population.individual, history.trials(operator.name, parent.id))),
    )


def _root(operator: Proposer, population: Population, history: History) -> int | None:
    """Return the program that a series goes on with, or the best one to begin a new one from."""
    length: int = getattr(operator, "series_length", 1)
    root = history.open_series(operator.name, length)
    if root is not None:
        return root
    done = history.in_series(operator.name)
    suits: Callable[[Program], bool] = getattr(operator, "suits", lambda _: True)
    return next(
        (
            elite
            for elite in population.elites()
            if elite not in done and suits(population.individual(elite).program)
        ),
        None,
    )
