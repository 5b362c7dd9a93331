"""What races for a cell are about: their rules, samples as fitness, what they ask for and decide.

See `evolve.archive.racing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

#: How a program must compare with the elite whose place it wants.
Comparison: TypeAlias = Literal["mean", "lcb", "probability"]

#: Measurements beside the rival that it takes to compare timed programs.
SIDE_BY_SIDE = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """How noisy scores are compared.

    Attributes:
        repeats: Samples of every program, at least 1.
        most: Samples of one program in all; with ``repeats`` there is no racing.
        compare: ``mean``: the larger estimate; ``lcb``: the larger lower confidence bound;
            ``probability``: better with probability ``confidence``.
        confidence: Probability of being better from which a program has won, 0.5 to 1.
        give_up: Probability of being better below which it has lost, 0 to 0.5. Who is lost wrongly
            is one of many; who wins wrongly stays. So this may be far above 1 - ``confidence``.
        shrink: Whether estimates are drawn toward those of all elites, see `Population.shrink`.
        refresh: Insertions after which one elite is measured once more; 0 never.
        paired: Whether equal repeats of two programs share their chance.
        timed: Whether programs are measured beside their rival, in one slot; what counts then are
            ratios.
        rotate: Iterations after which cases are made anew; 0 never.
    """

    repeats: int = 2
    most: int = 12
    compare: Comparison = "mean"
    confidence: float = 0.9
    give_up: float = 0.3
    shrink: bool = True
    refresh: int = 5
    paired: bool = False
    timed: bool = False
    rotate: int = 0

    def epoch(self, iteration: int | None) -> int:
        """Return on which set of cases, from 0, an iteration's program is judged at first."""
        return (iteration or 0) // self.rotate if self.rotate else 0

    def first(self, iteration: int | None) -> int:
        """Return the first repeat of that epoch."""
        return self.epoch(iteration) * self.most


class Reading(NamedTuple):
    """One sample as fitness; None when the program failed.

    ``reference`` is the fitness of the program ``against`` that was measured beside it.
    """

    value: float | None
    against: int | None = None
    reference: float | None = None


class Wanted(NamedTuple):
    """A sample that is to be measured, perhaps beside another program."""

    key: int
    repeat: int
    against: int | None = None


class Need(NamedTuple):
    """A race cannot go on without these samples."""

    samples: tuple[Wanted, ...]


class Measured(NamedTuple):
    """An elite's fitness as it is known now, from its first ``samples`` samples."""

    key: int
    fitness: float
    samples: int


class Verdict(NamedTuple):
    """Whether a program may enter, what it is worth by how many samples, and who was measured.

    ``epoch`` is the set of cases that counts from now on, where it was the turn of another one.
    """

    enters: bool
    fitness: float
    samples: int
    measured: tuple[Measured, ...] = ()
    epoch: int | None = None
