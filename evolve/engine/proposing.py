"""Operators at work: how long they may take, and what a fault of a model means."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from evolve.core.errors import BudgetExhausted, InfrastructureError, ModelUnavailable
from evolve.engine.stop import Counters
from evolve.engine.width import Width
from evolve.propose.admission import refusal
from evolve.propose.base import Candidate, Context, Proposer, Rejected

#: Model calls that may fail in a row, the SDK's own retries not counted, before the run stops.
MODEL_ERRORS = 10


@dataclass(slots=True)
class Proposing:
    """Ask operators for candidates; many may be at work at once.

    Attributes:
        counters: Of the run.
        width: Told how long every proposal took.
        interrupt: Called with a reason when the run has to end.
    """

    counters: Counters
    width: Width
    interrupt: Callable[[str], None]
    _scopes: set[anyio.CancelScope] = field(default_factory=set)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, operator: Proposer, context: Context) -> Candidate | Rejected:
        """Ask the operator; a fault of the model is a proposal that came to nothing.

        Raises:
            ModelUnavailable: too many calls in a row failed.
        """
        started = time.monotonic()
        result: Candidate | Rejected = Rejected("interrupted", "given up when the run stopped")
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        try:
            with scope:
                result = _admissible(await operator.propose(context), context)
        except BudgetExhausted as error:
            self.interrupt("cost_usd")
            return Rejected("budget", str(error))
        except InfrastructureError as error:
            if self.counters.model_errors + 1 >= MODEL_ERRORS:
                raise ModelUnavailable(f"{MODEL_ERRORS} calls in a row failed: {error}") from error
            result = Rejected("model_error", str(error))
        finally:
            self._scopes.discard(scope)
            self._ended.set()
        self.width.proposed(time.monotonic() - started, fruitful=isinstance(result, Candidate))
        return result

    async def hurry(self, grace_s: float) -> None:
        """Give proposals in flight a while, then give up those that still wait for a model."""
        with anyio.move_on_after(grace_s):
            while self._scopes:
                self._ended = anyio.Event()
                await self._ended.wait()
        for scope in self._scopes:
            scope.cancel()


def _admissible(result: Candidate | Rejected, context: Context) -> Candidate | Rejected:
    """Refuse a candidate that is not worth an evaluation, whichever operator made it."""
    if isinstance(result, Rejected):
        return result
    return refusal(result.program, context.parent.program, context.problem) or result
