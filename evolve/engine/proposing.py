"""Operators at work: how long they may take, and what a fault of a model means."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from evolve.core.errors import BudgetExhausted, InfrastructureError, ModelUnavailable
from evolve.engine.width import Width
from evolve.propose.admission import refusal
from evolve.propose.base import Candidate, Context, Proposed, Proposer, Rejected

#: What came of a proposal that was still under way, or never begun again, at the end.
CUT_SHORT = Rejected("interrupted", "given up when the run stopped")


@dataclass(slots=True)
class Proposing:
    """Ask operators for candidates; many may be at work at once.

    Attributes:
        width: Told how long every proposal took.
        interrupt: Called with a reason when the run has to end.
        failure: Why no model can be asked any more, once that is so.
    """

    width: Width
    interrupt: Callable[[str], None]
    failure: ModelUnavailable | None = None
    _scopes: set[anyio.CancelScope] = field(default_factory=set)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, operator: Proposer, context: Context) -> Proposed | None:
        """Ask the operator; a fault of the model is a proposal that came to nothing.

        Returns:
            None when the model cannot be had: the proposal is to be begun again some day.
        """
        started = time.monotonic()
        self.width.asked()
        result: Proposed = CUT_SHORT
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        try:
            with scope:
                result = await proposed(operator, context)
        except BudgetExhausted as error:
            self.interrupt(error.rule)
            return Rejected("budget", str(error))
        except ModelUnavailable as error:  # what others have in flight is finished first
            self.failure = self.failure or error
            self.interrupt("model")
            return None
        except InfrastructureError as error:
            result = Rejected("model_error", str(error))
        finally:
            self._scopes.discard(scope)
            self._ended.set()
        self.width.proposed(time.monotonic() - started, fruitful=isinstance(result, Candidate))
        return result

    async def hurry(self, grace_s: float) -> None:
        """Give proposals in flight a while, then let them ask nothing more.

        A call under way is waited for all the same: see `evolve.llm.ledger.Ledger.complete`.
        """
        with anyio.move_on_after(grace_s):
            while self._scopes:
                self._ended = anyio.Event()
                await self._ended.wait()
        for scope in self._scopes:
            scope.cancel()


async def proposed(operator: Proposer, context: Context) -> Proposed:
    """Return what an operator makes, if it may be evaluated.

    Programs are strangers' texts: one may be nested more deeply than an operator can follow.
    """
    try:
        return admissible(await operator.propose(context), context)
    except RecursionError:
        return Rejected("syntax", "a program is nested too deeply to be worked on")


def admissible(result: Proposed, context: Context) -> Proposed:
    """Refuse a candidate that is not worth an evaluation, whichever operator made it."""
    if not isinstance(result, Candidate):
        return result
    return refusal(result.program, context.parent.program, context.problem) or result
