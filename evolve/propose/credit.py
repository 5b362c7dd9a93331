"""What each arm, an operator with a model, has come to: a fold over what ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.store.records import Ended

#: Weight of the newest improvement in the running scale of improvements.
_ALPHA = 0.1
#: Ends before there was a candidate: the reply did not apply, or was no program.
_EVALUATED = frozenset(outcome.value for outcome in Outcome)


@dataclass(slots=True)
class Arm:
    """Counts of one operator with one model.

    Attributes:
        pulls: Proposals that ended.
        applied: Those that became a new program and were evaluated.
        valid: Those whose program has a score.
        improved: Those that are better than their parent.
        records: Those that were the best of their island.
        reward: Sum of rewards, each 0 to 1.
        cost_usd: Known price of the model calls.
    """

    operator: str
    model: str
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
class _Scale:
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
class Credit:
    """Give every proposal its reward.

    A reward is half the improvement over the parent and half the improvement over the best program
    of the island so far, each measured against the usual size of such an improvement in this run.
    So it is between 0 and 1 whatever the unit of the objective, and keeps its meaning when
    improvements become small. A program without a score, and a proposal without a program, earn 0.
    The child of a failed program is compared with what that one was made from.

    Attributes:
        objective: Turns objectives into fitness.
        arms: By operator and model, in the order they were first told.
    """

    objective: Objective
    arms: dict[tuple[str, str], Arm] = field(default_factory=dict)
    _fitness: dict[int, float] = field(default_factory=dict)
    _best: dict[int, float] = field(default_factory=dict)
    _over_parent: _Scale = field(default_factory=_Scale)
    _over_best: _Scale = field(default_factory=_Scale)

    def tell(self, ended: Ended) -> float:
        """Take note of what came of a proposal and return its reward."""
        fitness = None if ended.objective is None else self.objective.fitness(ended.objective)
        parent = self._fitness.get(ended.parents[0]) if ended.parents else None
        best = self._best.get(ended.island)
        self._remember(ended, fitness, parent)
        if not ended.parents:
            return 0.0
        over_parent = 0.0 if fitness is None or parent is None else max(fitness - parent, 0.0)
        over_best = 0.0 if fitness is None or best is None else max(fitness - best, 0.0)
        reward = 0.5 * self._over_parent.share(over_parent) + 0.5 * self._over_best.share(over_best)
        key = ended.operator, ended.model
        arm = self.arms.setdefault(key, Arm(*key))
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
