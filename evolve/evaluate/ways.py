"""How cases reach a program: driven from outside, call by call, or by a harness beside it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from evolve.config.problem import Problem
from evolve.core.errors import ConfigError

#: How cases reach a program when the problem has both ways; see `evolve.config.models.RunConfig`.
Interaction: TypeAlias = Literal["auto", "boundary", "harness"]


def choose_way(
    problem: Problem, interaction: Interaction, *, interacts: bool, trusted: bool
) -> tuple[bool, str]:
    """Return whether the evaluator drives the program, and the harness to use, if any.

    Args:
        problem: May have a harness.
        interaction: What is asked for.
        interacts: Whether the evaluator can drive programs.
        trusted: Whether programs come from a closed set of operations.

    Raises:
        ConfigError: the problem does not have the way that is asked for.
    """
    if interaction == "harness" and not problem.harness:
        raise ConfigError(f"interaction: harness, but {problem.id} has no harness.py; use auto")
    if interaction == "boundary" and not interacts:
        raise ConfigError(
            f"interaction: boundary, but the evaluator of {problem.id} has no interact(); use auto"
        )
    by_harness = interaction == "harness" or (interaction == "auto" and trusted)
    if problem.harness and (by_harness or not interacts):
        return False, problem.harness
    return interacts, ""
