"""From a program to its evaluation through a leased slot; faults are retried, never scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Protocol

import anyio
import anyio.lowlevel

from evolve.core.errors import (
    EvaluatorError,
    InfrastructureError,
    RunFailed,
    SeedProgramInvalid,
)
from evolve.core.evaluation import Evaluation, Outcome, Stage, Start
from evolve.core.program import Program
from evolve.engine.events import FaultOccurred, Observer
from evolve.engine.patience import Patience
from evolve.evaluate.probes import Alike, nobody
from evolve.pool.base import Pool
from evolve.sandbox.base import Slot
from evolve.store.records import EvaluatedProgram

#: Programs set aside in a row before the run gives up.
TOO_MANY = 5
#: Programs in a row on whose output the evaluator may fail. One odd output is worth a row in the
#: table of failures; every output of fresh descendants of good programs means the evaluator.
EVALUATOR_ERRORS = 10

#: Share of a timed program's CPU time that others may have had, and how often it is timed again.
DISTURBANCE, TIMED_AGAIN = 0.05, 2
#: Turns of the event loop in which the next program gets from the queue into the slot.
HANDING_OVER = 4


class Evaluate(Protocol):
    """What judges a program in a slot: an `evolve.evaluate.service.EvaluationService`."""

    @property
    def version(self) -> str:
        """A hash that changes with anything that can change a score."""
        ...

    async def __call__(
        self,
        slot: Slot,
        program: Program,
        stage: Stage = "search",
        alike: Alike = nobody,
        seed: int | None = None,
        start: Start | None = None,
    ) -> Evaluation:
        """Run the cases of ``stage`` in ``slot``, as the repeat with ``seed``, and score them.

        Raises:
            InfrastructureError: the slot failed.
        """
        ...


class Judge(Protocol):
    """Makes evaluations of programs that the store has."""

    async def __call__(
        self, program_id: int, program: Program, stage: Stage = "search"
    ) -> Evaluation:
        """Return the evaluation of a program on the cases of ``stage``."""
        ...


class Assessor:
    """Evaluate programs on a pool.

    Args:
        pool: Leases slots.
        evaluate: Runs the cases in a slot and scores them outside.
        emit: Told of every fault.
        timed: Told the seconds every evaluation took in its slot.
        environment: Hash of the sandbox that programs run in, and of the packages around it.
        known: Finds an evaluation that was made before and may be taken over.
        alike: Finds a known program that does the same as a program on the probes.
        given: Finds what a program of a problem in search mode goes on from, by its id.
    """

    def __init__(  # noqa: PLR0913 - one argument per collaborator
        self,
        pool: Pool,
        evaluate: Evaluate,
        emit: Observer,
        timed: Callable[[float], None],
        *,
        environment: str = "",
        known: Callable[[Program, Stage], Evaluation | None] = lambda *_: None,
        alike: Callable[[Program, str], EvaluatedProgram | None] = lambda *_: None,
        given: Callable[[int], Start | None] = lambda _: None,
    ) -> None:
        self._pool, self._evaluate, self._emit, self._timed = pool, evaluate, emit, timed
        self._lost_in_a_row = self._evaluator_errors = 0
        self.version = evaluate.version
        self._environment, self._known, self._alike = environment, known, alike
        self._alone = anyio.Lock()
        self._given = given

    async def __call__(
        self, program: Program, stage: Stage = "search", start: Start | None = None
    ) -> Evaluation:
        """Return the evaluation of ``program``; wait for a slot if none is free.

        A timed program that was disturbed is timed again, and the least disturbed time counts:
        what disturbs makes slower, never faster.

        Raises:
            RunFailed: too many programs in a row met infrastructure faults.
            EvaluatorError: the evaluator failed on too many programs in a row.
        """
        known = self._known(program, stage)
        if known is not None:
            return known
        (evaluation,) = await self.together([program], stage, start=start)
        return evaluation

    async def judge(self, program_id: int, program: Program, stage: Stage = "search") -> Evaluation:
        """Return the evaluation of a program whose score does not vary.

        Nothing but the evaluator's own start is there to go on from on held-out cases.
        """
        start = self._given(program_id) if stage == "search" else None
        return await self(program, stage, start)

    async def together(
        self,
        programs: Sequence[Program],
        stage: Stage,
        seed: int | None = None,
        start: Start | None = None,
    ) -> list[Evaluation]:
        """Return the evaluations of programs that run one right after the other in one slot.

        Args:
            programs: In the order in which they run.
            stage: Which cases.
            seed: Of the repeat, where scores vary.
            start: What they go on from, in search mode.

        Raises:
            RunFailed: as `__call__`, and ``EvaluatorError`` likewise.
        """
        found = await self._once(programs, stage, seed, start)
        for _ in range(TIMED_AGAIN):
            disturbed = max(each.disturbed for each in found)
            if disturbed <= DISTURBANCE:
                break
            share = f"others had {disturbed:.0%} of a timed program's CPU time"
            self._emit(FaultOccurred("timing", f"{share}; timed again"))
            again = await self._once(programs, stage, seed, start)
            scored = all(each.score is not None for each in again)
            if scored and max(each.disturbed for each in again) < disturbed:
                found = again
        return [replace(each, environment=self._environment) for each in found]

    async def _once(
        self, programs: Sequence[Program], stage: Stage, seed: int | None, start: Start | None
    ) -> list[Evaluation]:
        """Evaluate in a slot; in another if that fails."""
        patience, found = Patience(), list[Evaluation]()
        while not patience.over:
            found.clear()
            try:
                async with self._alone if patience.suspect else nullcontext():
                    seconds = await self._in_a_slot(programs, stage, seed, start, found)
            except InfrastructureError as error:
                patience.blame(error)
                self._emit(FaultOccurred("evaluation", patience.told))
                continue
            self._timed(seconds)
            await _hand_over()
            self._lost_in_a_row = 0
            for evaluation in found:
                self._watch_evaluator(evaluation)
            return found
        ending = replace(patience.ending(self._evaluate.version), stage=stage)
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= TOO_MANY:
            raise RunFailed(
                f"{TOO_MANY} programs in a row could not be evaluated; the last fault was: "
                f"{ending.message}\nNothing is lost: mend the cause (`evolve doctor` may name it) "
                "and run again to resume."
            )
        aside = replace(ending, outcome=Outcome.INFRASTRUCTURE)
        under_way = len(found)  # the last time; it alone may be to blame
        return [ending if each == under_way else aside for each in range(len(programs))]

    async def _in_a_slot(
        self,
        programs: Sequence[Program],
        stage: Stage,
        seed: int | None,
        start: Start | None,
        found: list[Evaluation],
    ) -> float:
        """Add the evaluations to ``found``, one after the other, and return the seconds."""
        async with self._pool.lease() as slot:
            started = time.monotonic()
            for program in programs:
                alike = partial(self._alike, program) if seed is None else nobody
                found.append(await self._evaluate(slot, program, stage, alike, seed, start))
        return time.monotonic() - started

    def _watch_evaluator(self, evaluation: Evaluation) -> None:
        """Give up on an evaluator that fails again and again."""
        if evaluation.outcome is not Outcome.EVALUATOR_ERROR:
            self._evaluator_errors = 0
            return
        self._evaluator_errors += 1
        if self._evaluator_errors >= EVALUATOR_ERRORS:
            raise EvaluatorError(
                f"the evaluator failed on {EVALUATOR_ERRORS} programs in a row; the last time: "
                f"{evaluation.message}\nMend it and try it with `evolve evaluate`; a changed "
                "evaluator begins a new run."
            )


async def _hand_over() -> None:
    """Let whoever waits for the slot begin, so that it works while this evaluation is committed.

    A cancellation is not noticed here: what was evaluated is to be committed.
    """
    for _ in range(HANDING_OVER):
        await anyio.lowlevel.cancel_shielded_checkpoint()


def check_seed(evaluation: Evaluation, problem: str) -> None:
    """Raise what keeps the seed program of ``problem`` from having a score.

    Raises:
        SeedProgramInvalid: the program itself.
        EvaluatorError: the evaluator.
        RunFailed: the slot.
    """
    if evaluation.outcome is Outcome.OK:
        return
    if evaluation.outcome is Outcome.EVALUATOR_ERROR:
        raise EvaluatorError(f"the evaluator fails on the seed program: {evaluation.message}")
    if evaluation.outcome is Outcome.INFRASTRUCTURE:
        raise RunFailed(f"the seed program could not be evaluated: {evaluation.message}")
    early = evaluation.outcome is Outcome.BELOW_THRESHOLD
    todo = "Try `evolve evaluate` on it until it scores."
    raise SeedProgramInvalid(
        f"the seed program of {problem} ends with {evaluation.outcome}: {evaluation.message}\n"
        f"{'Lower the threshold of the cascade in problem.yaml below it.' if early else todo}",
        outcome=evaluation.outcome,
    )
