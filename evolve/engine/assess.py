"""From a program to its evaluation through a leased slot; faults are retried, never scored."""

from __future__ import annotations

import time
from collections.abc import Callable

from evolve.core.errors import InfrastructureError, RunFailed
from evolve.core.evaluation import Evaluation, Outcome, Stage
from evolve.core.program import Program
from evolve.engine.events import FaultOccurred, Observer
from evolve.evaluate.service import EvaluationService
from evolve.pool.base import Pool

#: Leases tried for one program before it is set aside as an infrastructure failure.
ATTEMPTS = 3
#: Programs set aside in a row before the run gives up.
TOO_MANY = 5


class Assessor:
    """Evaluate programs on a pool.

    Args:
        pool: Leases slots.
        evaluate: Runs the cases in a slot and scores them outside.
        emit: Told of every fault.
        timed: Told the seconds every evaluation took in its slot.
    """

    def __init__(
        self,
        pool: Pool,
        evaluate: EvaluationService,
        emit: Observer,
        timed: Callable[[float], None],
    ) -> None:
        self._pool, self._evaluate, self._emit, self._timed = pool, evaluate, emit, timed
        self._lost_in_a_row = 0
        self.version = evaluate.version

    async def __call__(self, program: Program, stage: Stage = "search") -> Evaluation:
        """Return the evaluation of ``program``; wait for a slot if none is free.

        Raises:
            RunFailed: too many programs in a row met infrastructure faults.
        """
        message = ""
        for _ in range(ATTEMPTS):
            try:
                async with self._pool.lease() as slot:
                    started = time.monotonic()
                    evaluation = await self._evaluate(slot, program, stage)
            except InfrastructureError as error:
                message = str(error)
                self._emit(FaultOccurred("evaluation", message))
                continue
            self._timed(time.monotonic() - started)
            self._lost_in_a_row = 0
            return evaluation
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= TOO_MANY:
            raise RunFailed(
                f"{TOO_MANY} programs in a row could not be evaluated; the last fault was: "
                f"{message}\nNothing is lost: mend the cause (`evolve doctor` may name it) and run "
                "again to resume."
            )
        return Evaluation(
            Outcome.INFRASTRUCTURE, message=message, evaluator=self._evaluate.version, stage=stage
        )
