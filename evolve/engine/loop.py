"""One iteration: choose, propose, admit, evaluate, record. Many are in flight at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, count

import anyio

from evolve.config.models import StopConfig
from evolve.config.problem import Problem
from evolve.core.errors import BudgetExhausted, InfrastructureError, ModelUnavailable
from evolve.engine.assess import Assessor
from evolve.engine.draw import draw
from evolve.engine.events import Stopping
from evolve.engine.journal import Journal, Pending
from evolve.engine.population import Population
from evolve.engine.resume import Unfinished
from evolve.engine.stop import stop_reason
from evolve.engine.width import Width
from evolve.propose.base import Candidate, Complete, Context, Proposer, Rejected
from evolve.propose.portfolio import Portfolio

#: Model calls that may fail in a row, the SDK's own retries not counted, before the run stops.
MODEL_ERRORS = 10


@dataclass(slots=True, kw_only=True)
class Loop:
    """Asynchronous steady state: an iteration starts as soon as there is room for one.

    Every state change is one transaction of the `Journal`, so every moment is a consistent one to
    be killed in. Random choices depend on ``seed`` and the iteration alone.
    """

    seed: int
    problem: Problem
    rules: StopConfig
    population: Population
    portfolio: Portfolio
    completer: Callable[[int], Complete]
    assess: Assessor
    journal: Journal
    width: Width
    _in_flight: int = 0
    _proposing: set[anyio.CancelScope] = field(default_factory=set)
    _interrupted: str = ""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, unfinished: Unfinished) -> str:
        """Finish what an earlier session left, iterate until a reason to stop, and drain.

        Returns:
            The stop rule's name, or what `interrupt` was called with.
        """
        reason = ""
        iterations = chain(unfinished.iterations, count(unfinished.next_iteration))
        async with anyio.create_task_group() as tasks:
            for pending in unfinished.programs:
                self._in_flight += 1
                tasks.start_soon(self._finish, pending)
            while not (reason := self._reason()):
                if self._in_flight < self._room():
                    self._in_flight += 1
                    tasks.start_soon(self._iterate, next(iterations))
                else:
                    await self._wait()
            self.journal.emit(Stopping(reason))
            tasks.start_soon(self._hurry)
        return reason

    def interrupt(self, reason: str) -> None:
        """Start nothing new; `run` returns ``reason`` once everything in flight is committed."""
        self._interrupted = reason
        self._changed.set()

    async def _iterate(self, iteration: int) -> None:
        """Take one iteration from its parents to the archive."""
        drawn = draw(self.seed, iteration, self.portfolio, self.population)
        proposal = self.journal.begin(iteration, drawn)
        context = drawn.context(self.problem, self.completer(proposal.id))
        pending = self.journal.admit(proposal, await self._propose(drawn.operator, context))
        if pending is None:
            self._leave()
        else:
            await self._finish(pending)

    async def _propose(self, operator: Proposer, context: Context) -> Candidate | Rejected:
        """Ask the operator; a fault of the model is a proposal that came to nothing."""
        started = time.monotonic()
        result: Candidate | Rejected = Rejected("interrupted", "given up when the run stopped")
        scope = anyio.CancelScope()
        self._proposing.add(scope)
        try:
            with scope:
                result = await operator.propose(context)
        except BudgetExhausted as error:
            self.interrupt("cost_usd")
            return Rejected("budget", str(error))
        except InfrastructureError as error:
            if self.journal.counters.model_errors + 1 >= MODEL_ERRORS:
                raise ModelUnavailable(f"{MODEL_ERRORS} calls in a row failed: {error}") from error
            result = Rejected("model_error", str(error))
        finally:
            self._proposing.discard(scope)
        self.width.proposed(time.monotonic() - started, fruitful=isinstance(result, Candidate))
        return result

    async def _hurry(self) -> None:
        """Give proposals in flight a while, then give up those that still wait for a model."""
        with anyio.move_on_after(self.rules.grace_s):
            while self._proposing:
                await self._wait()
        for scope in self._proposing:
            scope.cancel()

    async def _finish(self, pending: Pending) -> None:
        """Evaluate a committed program and record what came of it."""
        self.journal.record(pending, await self.assess(pending.program))
        self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._changed.set()

    def _reason(self) -> str:
        """Return why no iteration may begin any more, or nothing."""
        counters = self.journal.counters
        return self._interrupted or stop_reason(self.rules, counters, self.population.objective)

    def _room(self) -> int:
        """Return how many may be in flight: as useful, and never past the evaluation budget."""
        if self.rules.evaluations is None:
            return self.width.limit
        left = self.rules.evaluations - self.journal.counters.evaluations
        return min(self.width.limit, left)

    async def _wait(self) -> None:
        """Wait until an iteration ends, or a moment: time itself can be a reason to stop."""
        with anyio.move_on_after(0.5):
            await self._changed.wait()
        self._changed = anyio.Event()
