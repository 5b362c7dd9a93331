"""What each arm, such as an operator with a model, has come to: a fold over what ended."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.propose.base import INSTRUCT
from evolve.store.records import Ended

Key = TypeVar("Key", bound=Hashable)

#: Weight of the newest improvement in the running scale of improvements.
_ALPHA = 0.1
#: Ends before there was a candidate: the reply did not apply, or was no program.
_EVALUATED = frozenset(outcome.value for outcome in Outcome)


@dataclass(slots=True)
class Tally:
    """Counts of one arm.

    Attributes:
        pulls: Proposals that ended.
        applied: Those that became a new program and were evaluated.
        valid: Those whose program has a score.
        improved: Those that are better than their parent.
        records: Those that were the best of their island.
        reward: Sum of rewards, each 0 to 1.
        cost_usd: Known price of the model calls.
    """

    pulls: int = 0
    applied: int = 0
    valid: int = 0
    improved: int = 0
    records: int = 0
    reward: float = 0.0
    cost_usd: float = 0.0

    @property
    def reward_per_usd(self) -> float | None:
        """Reward per US dollar; None for what costs nothing."""
        return self.reward / self.cost_usd if self.cost_usd > 0 else None


@dataclass(slots=True)
class Scale:
    """Running mean of positive improvements, to which one is compared."""

    mean: float = 0.0

    def share(self, gain: float) -> float:
        """Return ``gain`` on a scale from 0 (none) over 0.5 (as usual) to 1 (huge)."""
        if gain <= 0:
            return 0.0
        usual = self.mean or gain
        self.mean = usual + _ALPHA * (gain - usual)
        return gain / (gain + usual)


@dataclass(slots=True)
class Credit(Generic[Key]):
    """Give every proposal its reward.

    A reward is half the improvement over the parent and half the improvement over the best program
    of the island so far, each measured against the usual size of such an improvement in this run.
    So it is between 0 and 1 whatever the unit of the objective, and keeps its meaning when
    improvements become small. A program without a score, and a proposal without a program, earn 0.
    The child of a failed program is compared with what that one was made from.

    Attributes:
        objective: Turns objectives into fitness.
        arm_of: Says whose a proposal was; None for nobody's.
        arms: What each has come to, in the order they were first told.
    """

    objective: Objective
    arm_of: Callable[[Ended], Key | None]
    arms: dict[Key, Tally] = field(default_factory=dict)
    _fitness: dict[int, float] = field(default_factory=dict)
    _best: dict[int, float] = field(default_factory=dict)
    _over_parent: Scale = field(default_factory=Scale)
    _over_best: Scale = field(default_factory=Scale)

    def tell(self, ended: Ended) -> float:
        """Take note of what came of a proposal and return its reward."""
        fitness = None if ended.objective is None else self.objective.fitness(ended.objective)
        parent = self._fitness.get(ended.parents[0]) if ended.parents else None
        best = self._best.get(ended.island)
        self._remember(ended, fitness, parent)
        arm_of = self.arm_of(ended)
        if not ended.parents or arm_of is None:
            return 0.0
        over_parent = 0.0 if fitness is None or parent is None else max(fitness - parent, 0.0)
        over_best = 0.0 if fitness is None or best is None else max(fitness - best, 0.0)
        reward = 0.5 * self._over_parent.share(over_parent) + 0.5 * self._over_best.share(over_best)
        arm = self.arms.setdefault(arm_of, Tally())
        arm.pulls += 1
        arm.applied += ended.ended in _EVALUATED
        arm.valid += ended.ended == Outcome.OK
        arm.improved += over_parent > 0
        arm.records += over_best > 0
        arm.reward += reward
        arm.cost_usd += ended.cost_usd
        return reward

    def _remember(self, ended: Ended, fitness: float | None, parent: float | None) -> None:
        known = parent if fitness is None else fitness
        if ended.program_id is not None and known is not None:
            self._fitness[ended.program_id] = known
        if fitness is not None:
            self._best[ended.island] = max(fitness, self._best.get(ended.island, fitness))


def by_operator(ended: Ended) -> tuple[str, str] | None:
    """Return operator and model of a proposal; None where it wrote an instruction."""
    return None if ended.operator == INSTRUCT else (ended.operator, ended.model)
