"""In which order iterations are begun, admitted and inserted into the archive.

``arrival``: as results come; timing decides what an iteration is drawn from. ``strict``: iteration
*i* is drawn from the archive after exactly the iterations up to *i - window* have been inserted, in
order, whatever their evaluations took. Everything that a draw may depend on (archive, operators'
and islands' state, counters) changes when an iteration is inserted or refused here, and at no other
moment, so the course of a strict run follows from seed, replies and scores alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import anyio

from evolve.core.errors import RunFailed
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.draw import Draw
from evolve.engine.journal import Ending, Journal, Judged, Pending, Proposal, Refused
from evolve.engine.unfinished import NOTHING, Unfinished
from evolve.propose.base import Proposed, Rejected
from evolve.store.calls import answered

#: Why a proposal was given up though nothing is wrong with it.
GIVEN_UP = ("interrupted", "budget")


class Order(Protocol):
    """Takes the endings of iterations and says when the next one may begin."""

    def may_begin(self, left: float) -> bool:
        """Return whether a new iteration may be drawn.

        Args:
            left: Evaluations that the budget has room for, inserted ones excluded.
        """
        ...

    def begin(self, draw: Callable[[int], Draw]) -> tuple[Proposal, Draw] | None:
        """Draw the next iteration and commit that it began; None: it may not begin after all."""
        ...

    def inherit(self) -> Unfinished:
        """Return what controllers that are gone have left to do, which is this one's from now."""
        ...

    async def admit(self, proposal: Proposal, result: Proposed) -> Pending | Refused | None:
        """Commit what came of a proposal when its turn comes; None: it stays open."""
        ...

    async def record(self, pending: Pending, evaluation: Evaluation) -> None:
        """Commit an evaluation."""
        ...

    async def advance(self) -> bool:
        """Insert the next iteration if it has ended; return whether it had."""
        ...

    def give_up(self, iteration: int) -> None:
        """Leave a proposal open for a later session."""
        ...

    def leave_none_open(self) -> None:
        """From now on end every proposal, since the run is finished and no session will come."""
        ...

    async def close(self, *, finished: bool) -> None:
        """End: everything in flight has ended, and the run may be ``finished`` with it."""
        ...


class Arrival:
    """Everything at once, as it comes.

    Args:
        journal: Writes and counts.
        next_iteration: The first that was never begun.
        begun: Iterations of an earlier session that are still to end.
    """

    def __init__(self, journal: Journal, *, next_iteration: int = 0, begun: int = 0) -> None:
        self._journal, self._next, self._open = journal, next_iteration, begun
        self._last = False

    def may_begin(self, left: float) -> bool:
        """Never have more in flight than the budget has room for."""
        return self._open < left

    def begin(self, draw: Callable[[int], Draw]) -> tuple[Proposal, Draw] | None:
        """Count up."""
        drawn = draw(self._next)
        proposal = self._journal.begin(self._next, drawn)
        self._next += 1
        self._open += 1
        return proposal, drawn

    def inherit(self) -> Unfinished:
        """Return nothing: there is no other controller."""
        return NOTHING

    async def admit(self, proposal: Proposal, result: Proposed) -> Pending | Refused | None:
        """Commit at once; one that was given up with a reply paid for stays open for a resume."""
        given_up = isinstance(result, Rejected) and result.reason == "interrupted"
        if (
            given_up
            and not self._last
            and answered(self._journal.store.completions_of(proposal.id))
        ):
            self.give_up(proposal.iteration)
            return None
        admitted = self._journal.admit(proposal, result)
        if isinstance(admitted, Refused):
            self._journal.refuse(admitted)
            self._open -= 1
        else:
            self._journal.counters.admitted()
        return admitted

    async def record(self, pending: Pending, evaluation: Evaluation) -> None:
        """Commit with what it does to the archive."""
        judged = Judged(pending, evaluation)
        self._journal.record(judged, await self._journal.weigh(judged))
        self._open -= 1

    async def advance(self) -> bool:
        """Do nothing: everything is inserted when it ends."""
        return False

    def give_up(self, iteration: int) -> None:  # noqa: ARG002 - any one
        """Wait for it no longer."""
        self._open -= 1

    def leave_none_open(self) -> None:
        """Refuse what is given up."""
        self._last = True

    async def close(self, *, finished: bool) -> None:
        """Do nothing: everything was inserted when it ended."""


class Strict:
    """Drawn, admitted and inserted in the order of iterations.

    Args:
        journal: Writes and counts.
        window: Iterations begun and not inserted, at most.
        inserted: Iterations inserted by an earlier session.
        admitted: Iterations admitted or refused by an earlier session.
        next_iteration: The first that was never begun.
        endings: Those of iterations of an earlier session that are not inserted.
    """

    def __init__(
        self,
        journal: Journal,
        window: int,
        *,
        inserted: int = 0,
        admitted: int = 0,
        next_iteration: int = 0,
        endings: Mapping[int, Ending] = MappingProxyType({}),
    ) -> None:
        self._journal, self._window = journal, window
        self._inserted, self._admitted, self._next = inserted, admitted, next_iteration
        self._endings = dict(endings)
        self._end, self._last = math.inf, False
        self._turn = anyio.Event()

    def may_begin(self, left: float) -> bool:
        """Draw from one state of the archive only, the one that window and budget ask for."""
        return self._next - self._inserted < min(self._window, left)

    def begin(self, draw: Callable[[int], Draw]) -> tuple[Proposal, Draw] | None:
        """Count up."""
        drawn = draw(self._next)
        proposal = self._journal.begin(self._next, drawn, self._inserted)
        self._next += 1
        return proposal, drawn

    def inherit(self) -> Unfinished:
        """Return nothing: there is no other controller."""
        return NOTHING

    async def admit(self, proposal: Proposal, result: Proposed) -> Pending | Refused | None:
        """Commit after all earlier iterations, so that programs are numbered by iteration.

        One that was given up stays open, and so do all after it: a resumed run takes them up again
        as if nothing had happened.
        """
        iteration = proposal.iteration
        given_up = isinstance(result, Rejected) and result.reason in GIVEN_UP
        if given_up and not self._last:
            self.give_up(iteration)
        while iteration > self._admitted and iteration < self._end:
            await self._turn.wait()
        if iteration >= self._end:
            return None
        admitted = self._journal.admit(proposal, result)
        self._admitted += 1
        self._wake()
        if isinstance(admitted, Refused):
            self._endings[iteration] = admitted
        return admitted

    async def record(self, pending: Pending, evaluation: Evaluation) -> None:
        """Commit the evaluation; it enters the archive when its turn comes.

        Raises:
            RunFailed: the program met infrastructure faults only, and may not be left out.
        """
        judged = Judged(pending, evaluation)
        if evaluation.outcome is Outcome.INFRASTRUCTURE:
            raise RunFailed(
                f"program {pending.program_id} could not be evaluated ({evaluation.message}), and "
                "a run in strict order leaves none out.\nNothing is lost: mend the cause (`evolve "
                "doctor` may name it) and run again to resume."
            )
        self._journal.judge(judged)
        assert pending.iteration is not None
        self._endings[pending.iteration] = judged

    async def advance(self) -> bool:
        """Insert the next iteration if it has ended; its race, if any, is run now."""
        ending = self._endings.get(self._inserted)
        if ending is None:
            return False
        if isinstance(ending, Refused):
            self._journal.refuse(ending)
        else:
            self._journal.counters.admitted()
            self._journal.insert(ending, await self._journal.weigh(ending))
        del self._endings[self._inserted]
        self._inserted += 1
        return True

    def give_up(self, iteration: int) -> None:
        """Leave it open, and so everything after it."""
        self._end = min(self._end, iteration)
        self._wake()

    def leave_none_open(self) -> None:
        """Go on from the first that was given up: it is refused, and those after it end."""
        self._end, self._last = math.inf, True
        self._wake()

    async def close(self, *, finished: bool) -> None:
        """Insert the rest of a finished run.

        An interrupted one goes on from the state that the next draw asks for, so nothing is
        inserted before it.
        """
        while finished and await self.advance():
            pass

    def _wake(self) -> None:
        self._turn.set()
        self._turn = anyio.Event()
