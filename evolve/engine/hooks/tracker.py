"""What hooks for experiment trackers share: which numbers they log, against which axis."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from evolve.engine.events import Event, ProgramEvaluated, Progress, RunFinished
from evolve.engine.hooks.base import Hook, Watched

#: Fields of `Progress` that are logged under their own name.
_PLAIN = (
    "best",
    "mean",
    "coverage",
    "qd_score",
    "elites",
    "islands",
    "proposals",
    "slots_busy",
    "calls",
    "cost_usd",
    "unpriced_calls",
    "elapsed_s",
)


class Tracker(Hook, ABC):
    """Log numbers against the count of search evaluations, earlier sessions included.

    Every better best is logged when it comes, the state of the run once a second.
    """

    #: How the tracker calls the ways a run may end.
    statuses: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.evaluations = 0

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int, at: float) -> None:
        """Log numbers.

        Args:
            values: Finite, by name.
            step: Search evaluations so far; never falls.
            at: When, in Unix seconds.
        """

    @abstractmethod
    def finish(self, status: str) -> None:
        """Take down how the run ended: ``finished``, ``interrupted`` or ``failed``."""

    def begin(self, watched: Watched) -> None:
        """Count on from what earlier sessions did."""
        self.evaluations = watched.evaluations

    def handle(self, event: Event, at: float) -> None:
        """Log what an event says in numbers."""
        match event:
            case ProgramEvaluated():
                self.evaluations += 1
                if event.is_best and event.evaluation.score is not None:
                    self._log({"best": event.evaluation.score.objective}, at)
            case Progress():
                self.evaluations = max(self.evaluations, event.evaluations)
                self._log(numbers(event), at)
            case RunFinished():
                self.finish(event.status)
            case _:
                pass

    def _log(self, values: Mapping[str, float], at: float) -> None:
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.log(finite, self.evaluations, at)


def numbers(progress: Progress) -> dict[str, float]:
    """Return the numbers of a run's state by the names that trackers show."""
    plain = {name: getattr(progress, name) for name in _PLAIN}
    busy = progress.utilisation
    return {
        **{name: value for name, value in plain.items() if value is not None},
        **{f"failures/{kind}": count for kind, count in progress.failures.items()},
        **({"utilisation": sum(busy) / len(busy)} if busy else {}),
        "evaluations_per_s": progress.rate,
    }
