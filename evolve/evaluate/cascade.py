"""Cascade: what is not good enough on the first search cases is not run on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.config.problem import Threshold
from evolve.core.evaluation import Score
from evolve.core.measures import Objective


@dataclass(frozen=True, slots=True)
class Cascade:
    """The thresholds of a problem.

    Attributes:
        thresholds: By their number of cases, ascending.
        objective: What they are about.
        total: How many search cases there are.
    """

    thresholds: Sequence[Threshold]
    objective: Objective
    total: int

    def due(self, ran: int) -> Threshold | None:
        """Return the threshold that is to be met once ``ran`` cases have been scored, if any."""
        return next((each for each in self.thresholds if each.cases == ran), None)

    @property
    def relative(self) -> bool:
        """Whether a threshold looks at the parent."""
        return any(each.of_parent is not None for each in self.thresholds)

    def bound(self, threshold: Threshold, parent: Score | None) -> float | None:
        """Return what the score must be as good as; None where there is no parent to be beside.

        Args:
            threshold: Which one.
            parent: What the parent came to over the same cases.
        """
        if threshold.of_parent is None:
            return threshold.no_worse_than
        if parent is None:
            return None
        slack = (1 - threshold.of_parent) * abs(parent.objective)
        return parent.objective - self.objective.fitness(slack)

    def missed(self, bound: float, score: Score) -> bool:
        """Return whether the score of the cases so far is worse than it must be."""
        return self.objective.better(bound, score.objective)

    def told(self, threshold: Threshold, bound: float, score: Score) -> str:
        """Say what the cases so far came to, beside what they must come to."""
        end = "least" if self.objective.direction == "maximize" else "most"
        why = "" if threshold.of_parent is None else ", measured by its parent"
        return (
            f"{self.objective.name} {score.objective:.10g} after {threshold.cases} of {self.total} "
            f"cases, must be at {end} {bound:.10g}{why}"
        )
