"""When a run ends: what is counted, and the stop rules as pure functions of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field

from evolve.config.models import StopConfig
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.measures import Objective


@dataclass(slots=True)
class Counters:
    """What stop rules and displays look at, over all sessions of a run.

    Attributes:
        evaluations: Search evaluations committed; infrastructure faults are none.
        since_improvement: Evaluations since the best objective last changed.
        fruitless: Proposals in a row that led to no evaluation.
        failures: Rejected proposals by reason and evaluations without a score by outcome.
        earlier_s: Seconds of running in earlier sessions.
        calls: Model calls sent.
        unpriced_calls: Calls whose price is unknown.
        cost_usd: Money spent, reservations of lost calls included.
        tokens: Input and output tokens used, those assumed of lost calls included.
        best: Best objective so far, or None.
        told: Why another controller of the run stopped it, or nothing.
        samples: Measurements on the search cases, where scores vary; none elsewhere.
    """

    evaluations: int = 0
    since_improvement: int = 0
    fruitless: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    earlier_s: float = 0.0
    calls: int = 0
    unpriced_calls: int = 0
    cost_usd: float = 0.0
    tokens: int = 0
    best: float | None = None
    earlier_evaluations: int = 0
    told: str = ""
    samples: int = 0
    _started: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - may be replaced

    @property
    def session_s(self) -> float:
        """Seconds since this session began."""
        return time.monotonic() - self._started

    @property
    def elapsed_s(self) -> float:
        """Seconds of running, all sessions."""
        return self.earlier_s + self.session_s

    def rejected(self, reason: str) -> None:
        """Count a proposal that came to nothing."""
        self.fruitless += 1
        self.failures[reason] += 1

    def admitted(self) -> None:
        """Count a proposal that goes on to its evaluation."""
        self.fruitless = 0

    def evaluated(self, evaluation: Evaluation, *, is_best: bool) -> None:
        """Count a committed evaluation, or a program that was set aside."""
        score = evaluation.score
        self.ended(evaluation.outcome, None if score is None else score.objective, is_best=is_best)

    def ended(self, outcome: Outcome, objective: float | None, *, is_best: bool) -> None:
        """Count how an evaluation ended."""
        if outcome is Outcome.INFRASTRUCTURE:
            self.failures[outcome] += 1
            return
        self.evaluations += 1
        self.since_improvement = 0 if is_best else self.since_improvement + 1
        if outcome is not Outcome.OK:
            self.failures[outcome] += 1
        if is_best and objective is not None:
            self.best = objective


def stop_reason(rules: StopConfig, counters: Counters, objective: Objective) -> str:
    """Return the first rule that says stop, by name, or nothing."""
    reached = {
        "target": rules.target is not None
        and counters.best is not None
        and not objective.better(rules.target, counters.best),
        "evaluations": _at_least(counters.evaluations, rules.evaluations),
        "samples": _at_least(counters.samples, rules.samples),
        "wall_s": _at_least(counters.elapsed_s, rules.wall_s),
        "cost_usd": _at_least(counters.cost_usd, rules.cost_usd),
        "tokens": _at_least(counters.tokens, rules.tokens),
        "calls": _at_least(counters.calls, rules.calls),
        "no_improvement": _at_least(counters.since_improvement, rules.no_improvement),
        "fruitless": _at_least(counters.fruitless, rules.fruitless),
    }
    return counters.told or next((name for name, stop in reached.items() if stop), "")


def used_fraction(rules: StopConfig, counters: Counters) -> float | None:
    """Return how much of the nearest budget is used, 0 to 1; None when there is no budget."""
    shares = [
        used / limit
        for used, limit in (
            (counters.evaluations, rules.evaluations),
            (counters.samples, rules.samples),
            (counters.elapsed_s, rules.wall_s),
            (counters.cost_usd, rules.cost_usd),
            (counters.tokens, rules.tokens),
            (counters.calls, rules.calls),
        )
        if limit is not None
    ]
    return min(max(shares), 1.0) if shares else None


def evaluations_left(rules: StopConfig, counters: Counters) -> float:
    """Return how many evaluations the budget has room for."""
    return math.inf if rules.evaluations is None else rules.evaluations - counters.evaluations


def _at_least(value: float, limit: float | None) -> bool:
    return limit is not None and value >= limit
