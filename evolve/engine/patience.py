"""What becomes of a program whose slots fail: another slot, a slot while no other suspect runs, or
an end. Pure.
"""

from __future__ import annotations

from evolve.core.errors import InfrastructureError, SlotLost
from evolve.core.evaluation import Evaluation, Outcome

#: Slots that may fail under a program before it is set aside as an infrastructure failure.
ATTEMPTS = 3
#: Slots that may be lost with a program before it is suspected of taking them down.
LOSSES = 3


class Patience:
    """The faults of one program, or of several that run in one slot."""

    def __init__(self) -> None:
        self._faults = self._losses = 0
        self._last = ""

    def blame(self, error: InfrastructureError) -> None:
        """Take down a fault."""
        self._last = str(error)
        if isinstance(error, SlotLost):
            self._losses += 1
        else:
            self._faults += 1

    @property
    def suspect(self) -> bool:
        """Whether so many slots were lost with it that it may be its own doing."""
        return self._losses >= LOSSES

    @property
    def told(self) -> str:
        """The last fault, and what follows from it."""
        if self._losses == LOSSES and not self.over:
            return (
                f"{self._last}; that was the slot number {LOSSES} lost with this program: it is "
                "suspect and runs once more, while no other suspect does"
            )
        return self._last

    @property
    def over(self) -> bool:
        """Whether it gets no further slot."""
        return self._faults >= ATTEMPTS or self._losses > LOSSES

    def ending(self, evaluator: str) -> Evaluation:
        """Return the evaluation of a program that gets no further slot, ``evaluator`` judging.

        One that slots were lost with, the last of them while no other suspect ran, takes slots
        down: that is its outcome. Anything else is not its doing.
        """
        if self._losses > LOSSES:
            message = f"{self._losses} slots were lost with it; the last time: {self._last}"
            return Evaluation(Outcome.RUNNER_LOST, message=message, evaluator=evaluator)
        return Evaluation(Outcome.INFRASTRUCTURE, message=self._last, evaluator=evaluator)
