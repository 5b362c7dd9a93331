"""Who enters a cell when scores are noisy: races between a program and the elite in its place.

A race is a pure function of the archive and of samples looked up by program and repeat. Where one
is missing it says which, is told them, and begins again, so that its verdict depends neither on
when samples arrive nor on who asked for them first. See ``docs/design/0008-noise.md``.

Racing: Maron and Moore, "Hoeffding races", 1994. Elites that are measured again: Justesen, Risi and
Mouret, "MAP-Elites for noisy domains by adaptive sampling", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple, TypeAlias

from evolve.archive.base import Elite
from evolve.archive.cells import CellArchive
from evolve.core.estimates import (
    Estimate,
    Population,
    Spread,
    estimate,
    probability_above,
    robust_estimate,
)

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
    """Whether a program may enter, what it is worth by how many samples, and who was measured."""

    enters: bool
    fitness: float
    samples: int
    measured: tuple[Measured, ...] = ()


class Beliefs:
    """What is known of noisy scores: a fold over insertions, beside the archive.

    Args:
        rules: How they are compared.
        readings: Looks up the samples of a program that there are, by repeat from 0 on.

    Attributes:
        known: By elite, how many of its samples its fitness is made of.
    """

    def __init__(self, rules: Rules, readings: Callable[[int], Sequence[Reading]]) -> None:
        self.rules, self._readings = rules, readings
        self.known: dict[int, int] = {}
        self._spread = Spread()
        self._estimates: dict[int, tuple[int, Estimate]] = {}

    def tell(self, first: Estimate) -> None:
        """Take note of the first samples of a program that was inserted."""
        self._spread.tell(first)

    def keep(self, keys: Collection[int]) -> None:
        """Forget all but the programs that are elites."""
        self.known = {key: n for key, n in self.known.items() if key in keys}
        self._estimates = {key: e for key, e in self._estimates.items() if key in keys}

    def judge(
        self, key: int, measures: Mapping[str, float], archive: CellArchive, *, refresh: bool
    ) -> Need | Verdict:
        """Decide whether a program enters an archive, or say what has to be measured first.

        Args:
            key: The program; its first ``repeats`` samples are there.
            measures: Where it belongs.
            archive: As it is now.
            refresh: Whether an elite is to be measured again, too.
        """
        prior = self._population(archive)
        rival = archive.rival(measures)
        verdict = self._unrivalled(key, prior) if rival is None else self._race(key, rival, prior)
        again = self._refreshed(archive, rival, prior) if refresh else ()
        wanted = (*_wanted(verdict), *_wanted(again))
        if wanted:
            return Need(wanted)
        assert isinstance(verdict, Verdict)
        assert not isinstance(again, Need)
        return verdict._replace(measured=(*again, *verdict.measured))

    def estimate(self, key: int) -> Estimate | None:
        """Return what is known of an elite, unshrunken; None when it was never measured here."""
        n = self.known.get(key, self.rules.repeats)
        found = self._estimates.get(key)
        if found is None or found[0] != n:
            readings = self._readings(key)[:n]
            if all(reading.value is None for reading in readings):
                return None
            found = self._estimates[key] = n, self._summary(readings)
        return found[1]

    def _race(self, key: int, rival: Elite, prior: Population | None) -> Need | Verdict:
        """Measure both, a sample each at a time, until it is clear or the budget is spent."""
        rules = self.rules
        mine, theirs = self._readings(key), self._readings(rival.key)
        known = seen = self.known.get(rival.key, rules.repeats)
        level = rules.repeats
        while True:
            beside = rival.key if rules.timed else None
            wanted = [Wanted(key, r, beside) for r in range(len(mine), level)]
            wanted += [Wanted(rival.key, r) for r in range(len(theirs), seen)]
            if wanted:
                return Need(tuple(wanted))
            if any(reading.value is None for reading in mine[:level]):
                return Verdict(False, rival.fitness, level)
            duel = self._duel(mine[:level], theirs[:seen], rival)
            own, other = self._worth(duel.own, prior), self._worth(duel.rival, prior)
            again = duel.paired or seen > known
            spent = level >= rules.most and (rules.timed or seen >= rules.most)
            worse = duel.odds < rules.give_up and (duel.paired or not rules.timed)
            clear = (again or seen >= rules.most) and duel.odds >= rules.confidence and own > other
            if spent or worse or clear:
                sure = rules.compare != "probability" or duel.odds >= rules.confidence
                measured = (Measured(rival.key, other, seen),) if again else ()
                return Verdict(sure and own > other, own, level, measured)
            level = min(level + 1, rules.most)
            seen = seen if rules.timed else max(seen, min(seen + 1, rules.most))

    def _duel(self, mine: Sequence[Reading], theirs: Sequence[Reading], rival: Elite) -> _Duel:
        """Compare two programs by the samples given."""
        beside = [
            (each.value, each.reference)
            for each in mine
            if each.against == rival.key and each.value is not None and each.reference is not None
        ]
        if len(beside) >= SIDE_BY_SIDE:
            return _beside(beside)
        own, other = self._summary(mine), self._summary(theirs)
        if self.rules.paired:
            pairs = [
                a.value - b.value
                for a, b in zip(mine, theirs, strict=False)
                if a.value is not None and b.value is not None
            ]
            if len(pairs) > 2:
                gain = estimate(pairs)
                odds = probability_above(gain.mean, gain.error, gain.n - 1)
                return _Duel(own._replace(mean=other.mean + gain.mean), other, odds)
        (error, df), (their_error, their_df) = map(self._spread.moderate, (own, other))
        if error is None or their_error is None:
            return _Duel(own, other, 0.5)
        both = math.hypot(error, their_error)
        return _Duel(own, other, probability_above(own.mean - other.mean, both, min(df, their_df)))

    def _unrivalled(self, key: int, prior: Population | None) -> Verdict:
        n = self.rules.repeats
        return Verdict(True, self._worth(self._summary(self._readings(key)[:n]), prior), n)

    def _refreshed(
        self, archive: CellArchive, rival: Elite | None, prior: Population | None
    ) -> Need | tuple[Measured, ...]:
        """Measure the best elite once more, or when its budget is spent, the one known least."""
        most = self.rules.most
        open_ = [
            (elite is not archive.best, self._known(elite), -elite.fitness, elite.key)
            for elite in archive.elites()
            if self._known(elite) < most and (rival is None or elite.key != rival.key)
        ]
        if not open_:
            return ()
        _, n, _, key = min(open_)
        readings = self._readings(key)
        if len(readings) <= n:
            return Need(tuple(Wanted(key, repeat) for repeat in range(len(readings), n + 1)))
        return (Measured(key, self._worth(self._summary(readings[: n + 1]), prior), n + 1),)

    def _known(self, elite: Elite) -> int:
        return self.known.get(elite.key, self.rules.repeats)

    def _summary(self, readings: Sequence[Reading]) -> Estimate:
        values = [reading.value for reading in readings if reading.value is not None]
        return robust_estimate(values) if self.rules.timed else estimate(values)

    def _population(self, archive: CellArchive) -> Population | None:
        if not self.rules.shrink or self.rules.timed:
            return None
        known = (self.estimate(elite.key) for elite in archive.elites())
        moderate = self._spread.moderate
        return Population.of((each.mean, moderate(each)[0] or 0.0) for each in known if each)

    def _worth(self, of: Estimate, prior: Population | None) -> float:
        """Return the fitness that an estimate stands for in the archive."""
        value, error = of.mean, self._spread.moderate(of)[0] or 0.0
        if prior is not None:
            value, error = prior.shrink(value, error)
        if self.rules.compare == "lcb":
            value -= NormalDist().inv_cdf(self.rules.confidence) * error
        return value


class _Duel(NamedTuple):
    """Two estimates, how probable it is that the first is better, and whether side by side."""

    own: Estimate
    rival: Estimate
    odds: float
    paired: bool = False


def _beside(pairs: Sequence[tuple[float, float]]) -> _Duel:
    """Compare what was measured side by side: by ratios, or by differences around zero."""
    own = robust_estimate([value for value, _ in pairs])
    other = robust_estimate([reference for _, reference in pairs])
    if all(a * b > 0 for a, b in pairs):
        sign = math.copysign(1, pairs[0][0])
        gain = robust_estimate([sign * math.log(a / b) for a, b in pairs])
    else:
        gain = robust_estimate([a - b for a, b in pairs])
    odds = probability_above(gain.mean, gain.error, gain.n - 1)
    return _Duel(own, other, odds, paired=True)


def _wanted(step: Need | Verdict | tuple[Measured, ...]) -> tuple[Wanted, ...]:
    return step.samples if isinstance(step, Need) else ()
