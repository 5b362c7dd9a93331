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

    def missed(self, threshold: Threshold, score: Score) -> bool:
        """Return whether the score of the cases so far is worse than it must be."""
        return self.objective.better(threshold.no_worse_than, score.objective)

    def told(self, threshold: Threshold, score: Score) -> str:
        """Say what the cases so far came to, beside what they must come to."""
        bound = "least" if self.objective.direction == "maximize" else "most"
        return (
            f"{self.objective.name} {score.objective:.10g} after {threshold.cases} of {self.total} "
            f"cases, must be at {bound} {threshold.no_worse_than:.10g}"
        )
