"""Two scheduling problems of systems research: transactions on hot keys, and spot instances.

Simulators and workloads were written for this project, after the problems of Cheng et al.,
*Barbarians at the Gate: How AI is Upending Systems Research* (arXiv:2510.06189, 2025). The data of
that work are not used, so figures cannot be compared with its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import permutation

#: One operation: whether it writes, and the key it needs.
Operation = tuple[bool, int]

#: Number of transactions, number of keys and skew of every workload.
_WORKLOADS: Final[dict[Stage, tuple[tuple[int, int, float], ...]]] = {
    "search": ((60, 40, 1.1), (60, 40, 1.1), (60, 80, 1.3), (100, 60, 1.1)),
    "held_out": ((80, 40, 1.1), (80, 60, 1.4), (150, 80, 1.2)),
}
_SEEDS: Final[dict[Stage, int]] = {"search": 1, "held_out": 2}


class TransactionSchedule(Evaluator):
    """Minimise the makespan of transactions that hold their locks until they end.

    Every operation takes one unit of time. Transactions are taken in the order given; each starts
    at the earliest time at which none of its operations has to wait for an earlier one's lock on
    the same key. Two operations conflict when at least one of them writes.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one workload for each description, drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for index, (size, keys, skew) in enumerate(_WORKLOADS[stage]):
            work = _transactions(rng, size, keys, skew)
            plain = [[[int(write), key] for write, key in each] for each in work]
            yield Case(
                {"transactions": plain}, name=f"{size} transactions/{index}", secret=tuple(work)
            )

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Check that the order is one, and simulate it."""
        work: Sequence[Sequence[Operation]] = case.secret  # type: ignore[assignment]  # as made above
        order = permutation(output, len(work), "transaction")
        starts = starting_times(work, order)
        ends = [start + len(work[index]) for start, index in zip(starts, order, strict=True)]
        makespan = max(ends)
        bound = hot_key_bound(work)
        return Score(
            objective=makespan / bound,
            measures={
                "at_once": float(np.mean([start == 0 for start in starts])),
                "longest_first": _early_length(work, order),
            },
            metrics={"makespan": makespan},
            feedback=f"makespan {makespan}, at least {bound} for the hottest key alone",
        )


def starting_times(work: Sequence[Sequence[Operation]], order: Sequence[int]) -> list[int]:
    """Return when each transaction of ``order`` starts.

    Args:
        work: Operations of every transaction.
        order: All indices, first to last.
    """
    written: dict[int, int] = {}  # key to the time at which its last writer has ended
    read: dict[int, int] = {}  # the same for readers
    starts = []
    for index in order:
        start = 0
        for offset, (write, key) in enumerate(work[index]):
            free = max(written.get(key, 0), read.get(key, 0) if write else 0)
            start = max(start, free - offset)
        starts.append(start)
        end = start + len(work[index])
        for write, key in work[index]:
            held = written if write else read
            held[key] = max(held.get(key, 0), end)
    return starts


def hot_key_bound(work: Sequence[Sequence[Operation]]) -> int:
    """Return a time below which no schedule can be: what the writers of one key take.

    Between a transaction's first operation on a key and its end nobody else writes it, so those
    times add up over the key's writers.
    """
    held: dict[int, int] = {}
    for operations in work:
        first: dict[int, int] = {}
        for offset, (_, key) in enumerate(operations):
            first.setdefault(key, offset)
        for key in {key for write, key in operations if write}:
            held[key] = held.get(key, 0) + len(operations) - first[key]
    return max([*held.values(), *map(len, work)])


def _transactions(
    rng: np.random.Generator, size: int, keys: int, skew: float
) -> list[tuple[Operation, ...]]:
    """Draw transactions of 3 to 12 operations on keys of Zipf-like popularity."""
    weights = np.arange(1, keys + 1) ** -skew
    weights /= weights.sum()
    return [
        tuple(
            (bool(rng.random() < 0.4), int(key))
            for key in rng.choice(keys, size=int(rng.integers(3, 13)), replace=False, p=weights)
        )
        for _ in range(size)
    ]


def _early_length(work: Sequence[Sequence[Operation]], order: Sequence[int]) -> float:
    """Return how early long transactions come: the rank correlation of length and -position."""
    lengths = np.array([len(work[index]) for index in order], dtype=float)
    place = -np.arange(len(order), dtype=float)
    if lengths.std() == 0:
        return 0.0
    return float(np.corrcoef(lengths, place)[0, 1])


#: Hours of a decision, and dollars of an hour of either kind of machine.
STEP_H: Final = 0.25
SPOT_PRICE, ON_DEMAND_PRICE = 0.3, 1.0
WAIT, SPOT, ON_DEMAND = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Job:
    """A job with a deadline, and when spot machines are to be had.

    Attributes:
        work_h: Hours of computing.
        deadline_h: Hours from the start.
        overhead_h: Hours lost whenever a machine is started.
        available: Whether there is a spot machine, for each step.
    """

    work_h: float
    deadline_h: float
    overhead_h: float
    available: tuple[bool, ...]


#: Traces, hours of work, slack, overhead, and mean hours of availability and of absence.
_JOBS: Final[dict[Stage, tuple[tuple[int, float, float, float, float, float], ...]]] = {
    "search": ((8, 24.0, 1.25, 0.25, 4.0, 4.0), (8, 24.0, 1.25, 0.25, 2.0, 6.0)),
    "held_out": ((8, 24.0, 1.25, 0.25, 8.0, 8.0), (8, 36.0, 1.5, 0.5, 3.0, 5.0)),
}


class SpotSchedule(Evaluator):
    """Minimise what a job with a deadline costs on machines that may be taken away.

    The program is asked at every step and sees the present only. What it answers is bookkept here:
    a machine that starts loses the overhead, a spot machine that disappears is gone, and at the
    last moment at which the deadline can still be met an on-demand machine is started for good.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield jobs with traces drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for count, work, slack, overhead, up, down in _JOBS[stage]:
            for index in range(count):
                deadline = work * slack
                trace = _trace(rng, round(deadline / STEP_H), up, down)
                job = Job(work, deadline, overhead, trace)
                name = f"{work:g} h, up {up:g} h, down {down:g} h/{index}"
                yield Case({}, name=name, secret=job)

    async def interact(self, case: Case, call: Call) -> Value:
        """Play the trace step by step."""
        job = case.secret
        assert isinstance(job, Job)
        play = _Play(job)
        for available in job.available:
            if play.done:
                break
            if play.must_hurry():
                play.step(ON_DEMAND, available)
                continue
            answer = await call(
                available=available,
                running=play.running,
                now=play.now_h,
                remaining=play.remaining_h,
                deadline=job.deadline_h,
                overhead=job.overhead_h,
            )
            play.step(_decision(answer, available), available)
        return play.result()

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Score what `interact` bookkept."""
        job = case.secret
        assert isinstance(job, Job)
        assert isinstance(output, list)
        dollars, starts, spot_h, used_h = (float(each) for each in output)
        alone = (job.work_h + job.overhead_h) * ON_DEMAND_PRICE
        return Score(
            objective=dollars / alone,
            measures={"starts": starts, "spot_share": spot_h / used_h},
            feedback=f"{dollars:.2f} dollars, {starts:.0f} starts, {spot_h:.1f} of {used_h:.1f} h",
        )


class _Play:
    """What the scorer keeps of a job while it runs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.now_h, self.remaining_h = 0.0, job.work_h
        self.running = WAIT
        self._starting_h = 0.0  # what is left of the present machine's overhead
        self._dollars = self._spot_h = self._used_h = 0.0
        self._starts = 0

    @property
    def done(self) -> bool:
        return self.remaining_h <= 1e-9

    def must_hurry(self) -> bool:
        """Return whether this is the last step at which an on-demand start meets the deadline."""
        need = self.remaining_h + self._job.overhead_h
        return self.now_h + need > self._job.deadline_h - STEP_H + 1e-9

    def step(self, decision: int, available: bool) -> None:
        """Let one step pass with the machine that was decided on."""
        if self.running == SPOT and not available:
            self.running = WAIT
        if decision != self.running:
            self.running = decision
            if decision != WAIT:
                self._starting_h = self._job.overhead_h
                self._starts += 1
        if self.running != WAIT:
            hours = min(STEP_H, self._starting_h + self.remaining_h)
            price = SPOT_PRICE if self.running == SPOT else ON_DEMAND_PRICE
            self._dollars += hours * price
            self._used_h += hours
            self._spot_h += hours if self.running == SPOT else 0.0
            lost = min(hours, self._starting_h)
            self._starting_h -= lost
            self.remaining_h -= hours - lost
        self.now_h += STEP_H

    def result(self) -> Value:
        """Return dollars, starts, hours on spot and hours on any machine."""
        if not self.done:
            raise AssertionError("the forced start was too late")
        return [self._dollars, self._starts, self._spot_h, self._used_h]


def _decision(answer: Value, available: bool) -> int:
    """Return what was decided; a spot machine that is not there means waiting."""
    if type(answer) not in (int, float) or answer not in (WAIT, SPOT, ON_DEMAND):
        raise Invalid(f"decide must return 0 (wait), 1 (spot) or 2 (on demand), not {answer!r:.60}")
    return WAIT if answer == SPOT and not available else int(answer)


def _trace(rng: np.random.Generator, steps: int, up_h: float, down_h: float) -> tuple[bool, ...]:
    """Draw a two-state Markov chain with the given mean sojourn times."""
    leave = {True: STEP_H / up_h, False: STEP_H / down_h}
    state = bool(rng.random() < up_h / (up_h + down_h))
    trace = []
    for _ in range(steps):
        trace.append(state)
        if rng.random() < leave[state]:
            state = not state
    return tuple(trace)
