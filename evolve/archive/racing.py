"""Who enters a cell when scores are noisy: races between a program and the elite in its place.

A race is a pure function of the archive and of samples looked up by program and repeat. Where one
is missing it says which, is told them, and begins again, so that its verdict depends neither on
when samples arrive nor on who asked for them first. See ``docs/design/0008-noise.md``.

Where cases rotate, an epoch has repeats of its own: ``most`` numbers, which no other epoch has. At
its turn every elite is measured on them, and only scores of one epoch are ever compared. See
``docs/design/0009-rotation.md``.

Racing: Maron and Moore, "Hoeffding races", 1994. Elites that are measured again: Justesen, Risi and
Mouret, "MAP-Elites for noisy domains by adaptive sampling", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import NamedTuple

from evolve.archive.base import Elite, order
from evolve.archive.cells import CellArchive
from evolve.archive.contests import (
    SIDE_BY_SIDE,
    Measured,
    Need,
    Reading,
    Rules,
    Verdict,
    Wanted,
)
from evolve.core.estimates import (
    Estimate,
    Population,
    Spread,
    estimate,
    probability_above,
    robust_estimate,
)


class Beliefs:
    """What is known of noisy scores: a fold over insertions, beside the archive.

    Args:
        rules: How they are compared.
        readings: Looks up the samples of a program that there are, from a repeat on without a gap.
        iteration: Looks up the iteration of a program; asked only where cases rotate.
        worst: Fitness that a score of nothing counts as, for elites that fail on other cases.

    Attributes:
        known: By elite, how many of its samples its fitness is made of.
        epoch: Which set of cases, from 0, the fitness of all elites is of.
    """

    def __init__(
        self,
        rules: Rules,
        readings: Callable[[int, int], Sequence[Reading]],
        *,
        iteration: Callable[[int], int | None] = lambda _: None,
        worst: float = math.inf,
    ) -> None:
        self.rules, self._look_up = rules, readings
        self._iteration, self._worst = iteration, worst
        self.known: dict[int, int] = {}
        self.epoch = 0
        self._spread = Spread()
        self._estimates: dict[int, tuple[tuple[int, int], Estimate]] = {}

    def reached(self, iteration: int | None) -> None:
        """Take note that a program of that iteration, with a score, was inserted."""
        self.epoch = max(self.epoch, self.rules.epoch(iteration))

    def tell(self, first: Estimate) -> None:
        """Take note of the first samples of a program that was inserted."""
        self._spread.tell(first)

    def keep(self, keys: Collection[int]) -> None:
        """Forget all but the programs that are elites."""
        self.known = {key: n for key, n in self.known.items() if key in keys}
        self._estimates = {key: e for key, e in self._estimates.items() if key in keys}

    def judge(
        self,
        key: int,
        measures: Mapping[str, float],
        archive: CellArchive,
        *,
        refresh: bool,
        everyone: Iterable[Elite] = (),
    ) -> Need | Verdict:
        """Decide whether a program enters an archive, or say what has to be measured first.

        Args:
            key: The program; the first ``repeats`` samples of its epoch are there.
            measures: Where it belongs.
            archive: As it is now.
            refresh: Whether an elite is to be measured again, too.
            everyone: The elites of all archives, for the turn of an epoch.
        """
        before = self.epoch, self.known
        epoch = self.rules.epoch(self._iteration(key)) if self.rules.rotate else 0
        if turn := epoch > self.epoch:
            self.epoch, self.known = epoch, {}
        elites = dict.fromkeys(elite.key for elite in everyone) if turn else {}
        wanted = [each for other in (key, *elites) for each in self._missing(other)]
        step = (
            Need(tuple(wanted)) if wanted else self._step(key, measures, archive, elites, refresh)
        )
        if isinstance(step, Need):
            self.epoch, self.known = before  # the next set counts once all of it is measured
            return step
        return step._replace(epoch=epoch) if turn else step

    def _step(
        self,
        key: int,
        measures: Mapping[str, float],
        archive: CellArchive,
        elites: Collection[int],
        refresh: bool,
    ) -> Need | Verdict:
        """Decide, with the first samples of all concerned at hand; elites: those to rank anew."""
        prior = self._population(archive)
        ranked = self._ranked(elites, prior)
        rival = self._rival(archive, measures, {each.key: each.fitness for each in ranked})
        if any(reading.value is None for reading in self._readings(key)[: self.rules.repeats]):
            verdict: Need | Verdict = Verdict(False, self._worst, self.rules.repeats)
        else:
            verdict = (
                self._unrivalled(key, prior) if rival is None else self._race(key, rival, prior)
            )
        again = self._refreshed(archive, rival, prior) if refresh and not elites else ()
        wanted = (*_wanted(verdict), *_wanted(again))
        if wanted:
            return Need(wanted)
        assert isinstance(verdict, Verdict)
        assert not isinstance(again, Need)
        return verdict._replace(measured=(*ranked, *again, *verdict.measured))

    def _missing(self, key: int) -> list[Wanted]:
        """Return the first samples of the epoch that a program does not have."""
        there = len(self._readings(key))
        return [self._want(key, repeat) for repeat in range(there, self.rules.repeats)]

    def _ranked(self, elites: Collection[int], prior: Population | None) -> tuple[Measured, ...]:
        """Return what elites are worth on the cases of the epoch, those that fail behind all."""
        n = self.rules.repeats
        known = {key: self.estimate(key) for key in elites}
        worth = {key: self._worth(each, prior) for key, each in known.items() if each is not None}
        last = min([self._worst, *worth.values()])
        return tuple(Measured(key, worth.get(key, last), n) for key in elites)

    def _rival(
        self, archive: CellArchive, measures: Mapping[str, float], ranked: Mapping[int, float]
    ) -> Elite | None:
        """Return whom a program would have to beat, by the fitness that elites are to have."""
        rival = archive.rival(measures)
        if rival is None or not ranked:
            return rival
        occupants = archive.occupants(rival.cell)
        return max((replace(each, fitness=ranked[each.key]) for each in occupants), key=order)

    def _readings(self, key: int) -> Sequence[Reading]:
        """Return the samples of a program in this epoch, by repeat from its first on."""
        return self._look_up(key, self.epoch * self.rules.most)[: self.rules.most]

    def _want(self, key: int, repeat: int, against: int | None = None) -> Wanted:
        return Wanted(key, self.epoch * self.rules.most + repeat, against)

    def estimate(self, key: int) -> Estimate | None:
        """Return what is known of an elite, unshrunken; None when it was never measured here."""
        n = self.known.get(key, self.rules.repeats)
        found = self._estimates.get(key)
        if found is None or found[0] != (self.epoch, n):
            readings = self._readings(key)[:n]
            if all(reading.value is None for reading in readings):
                return None
            found = self._estimates[key] = (self.epoch, n), self._summary(readings)
        return found[1]

    def _race(self, key: int, rival: Elite, prior: Population | None) -> Need | Verdict:
        """Measure both, a sample each at a time, until it is clear or the budget is spent."""
        rules = self.rules
        mine, theirs = self._readings(key), self._readings(rival.key)
        known = seen = self.known.get(rival.key, rules.repeats)
        level = rules.repeats
        while True:
            beside = rival.key if rules.timed else None
            wanted = [self._want(key, r, beside) for r in range(len(mine), level)]
            wanted += [self._want(rival.key, r) for r in range(len(theirs), seen)]
            if wanted:
                return Need(tuple(wanted))
            if any(reading.value is None for reading in mine[:level]):
                return Verdict(False, rival.fitness, level)
            if all(reading.value is None for reading in theirs[:seen]):
                return self._walkover(mine[:level], rival, seen, prior)
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

    def _walkover(
        self, mine: Sequence[Reading], rival: Elite, seen: int, prior: Population | None
    ) -> Verdict:
        """Let a program with a score take the place of an elite that fails on these cases."""
        own = self._worth(self._summary(mine), prior)
        behind = min(rival.fitness, math.nextafter(own, -math.inf))
        return Verdict(True, own, len(mine), (Measured(rival.key, behind, seen),))

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
            return Need(tuple(self._want(key, r) for r in range(len(readings), n + 1)))
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
