"""Which of the programs found is reported, where the cases that judged them may be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evolve.archive.plausible import RULES, chosen
from evolve.config.nearest import did_you_mean
from evolve.config.problem import Select
from evolve.core.errors import ConfigError
from evolve.core.measures import Objective
from evolve.store.course import CourseReader
from evolve.store.records import RunRecord

#: Where a run's provenance keeps the problem's ``select``.
KEY = "select"


def select_of(run: RunRecord, rule: str = "") -> Select:
    """Return how a run's problem chooses; ``rule`` takes the place of its rule.

    Raises:
        ConfigError: there is no such rule.
    """
    stored = run.provenance.get(KEY)
    select = Select(**stored) if isinstance(stored, dict) else Select()
    known = ("objective", *RULES)
    if rule and rule not in known:
        raise ConfigError(f"'{rule}' is no rule to select by{did_you_mean(rule, known)}")
    return Select(rule, select.passes) if rule else select


def reported(reader: CourseReader, run_id: int, objective: Objective, select: Select) -> int | None:
    """Return the program that a rule selects among those that a run's search found, or None.

    Of programs that it holds for equally good it is the one with the better objective, then the
    older.
    """
    found = reader.case_objectives(run_id)
    chosen_ids = list(found)
    if select.rule != "objective":
        chosen_ids = _by_cases(found, objective, select)
    fitness = {program: objective.fitness(found[program][0]) for program in chosen_ids}
    return max(fitness, key=lambda program: (fitness[program], -program), default=None)


def _by_cases(
    found: Mapping[int, tuple[float, Sequence[float]]], objective: Objective, select: Select
) -> list[int]:
    """Return the programs that a rule chooses, all of them where there are no cases to go by."""
    bar = objective.fitness(select.passes)
    passed = np.array([[objective.fitness(v) >= bar for v in row] for _, row in found.values()])
    if passed.ndim != 2 or not passed.size:
        return list(found)
    return [
        program
        for program, best in zip(found, chosen(RULES[select.rule](passed)), strict=True)
        if best
    ]
