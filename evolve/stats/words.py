"""What a study shows, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolve.stats.paired import pairs_needed

if TYPE_CHECKING:
    from evolve.stats.study import PairReport


def pair_sentence(pair: PairReport, level: float, tests: int) -> str:
    """Say what is shown of two arms; when nothing is, what could have been.

    Args:
        pair: The two.
        level: Of the study.
        tests: How many tests it makes.
    """
    paired = pair.paired
    score = f"better in {paired.wins} and worse in {paired.losses} of {paired.n} seeds"
    if pair.shown:
        swap = (paired.difference or paired.wins - paired.losses) < 0
        better, worse = (pair.second, pair.first) if swap else (pair.first, pair.second)
        if swap:
            score = f"better in {paired.losses} and worse in {paired.wins} of {paired.n} seeds"
        return (
            f"{better} is better than {worse}: {score}, by {abs(paired.difference):.3g} in the "
            f"median{_interval(pair, swap=swap)}, p = {pair.adjusted:.2g} after correction; the "
            f"effect is {paired.magnitude} (A12 {max(paired.a12, 1 - paired.a12):.2f})"
        )
    start = f"no difference shown between {pair.first} and {pair.second}"
    needed = pairs_needed(level, tests)
    if paired.n < needed:
        return (
            f"{start}, and none could be: {paired.n} seeds are too few for any p below "
            f"{level:g} in {tests} tests; it takes {needed}"
        )
    could = "all differences are alike"
    if pair.detectable is not None:
        could = f"{paired.n} seeds show a difference of {pair.detectable:.2g} in 4 cases of 5"
    return f"{start}: the first is {score}, p = {pair.adjusted:.2g} after correction; {could}"


def verdict(pairs: Sequence[PairReport], level: float) -> tuple[str, ...]:
    """Say what a whole study shows: first in one sentence, then every difference shown."""
    shown = [pair for pair in pairs if pair.shown]
    if not shown:
        return (f"No difference shown in {len(pairs)} comparisons at level {level:g}.",)
    several = len({pair.task for pair in pairs}) > 1
    sentences = [f"{pair.task}: {pair.sentence}" if several else pair.sentence for pair in shown]
    first = f"A difference is shown in {len(shown)} of {len(pairs)} comparisons at level {level:g}."
    return (first, *(f"{text}." for text in sentences))


def _interval(pair: PairReport, *, swap: bool) -> str:
    low, high = pair.paired.low, pair.paired.high
    if low is None or high is None:
        return ""
    if swap:
        low, high = -high, -low
    return f" (95 % interval {low:.3g} to {high:.3g})"
