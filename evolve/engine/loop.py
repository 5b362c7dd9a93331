"""One iteration: choose, propose, admit, evaluate, record. Many are in flight at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from evolve.config.models import StopConfig
from evolve.config.problem import Problem
from evolve.engine.assess import Judge
from evolve.engine.draw import Draw, draw
from evolve.engine.events import Stopping
from evolve.engine.history import History
from evolve.engine.journal import Journal, Pending, Proposal
from evolve.engine.order import Order
from evolve.engine.population import Population
from evolve.engine.proposing import Proposing
from evolve.engine.restore import Unfinished
from evolve.engine.stop import stop_reason
from evolve.engine.width import Width
from evolve.propose.base import Complete
from evolve.propose.portfolio import Portfolio
from evolve.store.calls import CompletionRecord


@dataclass(slots=True, kw_only=True)
class Loop:
    """Asynchronous steady state: an iteration starts as soon as there is room for one.

    Every state change is one transaction of the `Journal`, so every moment is a consistent one to
    be killed in. Random choices depend on ``seed`` and the iteration alone; what they choose from
    is the `Order`'s business.
    """

    seed: int
    problem: Problem
    rules: StopConfig
    population: Population
    portfolio: Portfolio
    history: History
    completer: Callable[[int, Sequence[CompletionRecord]], Complete]
    judge: Judge
    journal: Journal
    order: Order
    width: Width
    _in_flight: int = 0
    _propose: Proposing = field(init=False)
    _interrupted: str = ""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._propose = Proposing(self.width, self.interrupt)

    async def run(self, unfinished: Unfinished) -> str:
        """Finish what an earlier session left, iterate until a reason to stop, and drain.

        Returns:
            The stop rule's name, or what `interrupt` was called with.

        Raises:
            ModelUnavailable: a model cannot be had.
        """
        reason = ""
        async with anyio.create_task_group() as tasks:
            for pending in unfinished.programs:
                self._enter(tasks, self._finish(pending))
            for begun in unfinished.proposals:
                if begun.answered or not self._reason():
                    complete = self.completer(begun.proposal.id, begun.completions)
                    self._enter(tasks, self._see_through(begun.proposal, begun.drawn, complete))
                else:
                    self.order.give_up(begun.proposal.iteration)
            while not (reason := self._reason()):
                if not self.order.may_begin(self._left()):
                    progress = await self.order.advance()
                elif progress := self._in_flight < self.width.limit:
                    self._enter(tasks, self._iterate())
                if not progress:
                    await self._wait()
            self.journal.emit(Stopping(reason))
            tasks.start_soon(self._propose.hurry, self.rules.grace_s)
        failure = self._propose.failure
        await self.order.close(finished=failure is None and reason != "interrupted")
        if failure is not None:
            raise failure
        return reason

    def interrupt(self, reason: str) -> None:
        """Start nothing new; `run` returns ``reason`` once everything in flight is committed."""
        self._interrupted = reason
        self._changed.set()

    def _iterate(self) -> Coroutine[None, None, None]:
        """Draw the next iteration from the archive as it is now, and commit that it began.

        Returns:
            The rest of it.
        """
        iteration, inserted = self.order.begin()
        self.history.mail.collect(iteration)
        drawn = draw(self.seed, iteration, self.portfolio, self.population, self.history)
        self.history.begun(drawn.operator.name, [drawn.parent.id])
        proposal = self.journal.begin(iteration, drawn, inserted)
        return self._see_through(proposal, drawn, self.completer(proposal.id, ()))

    async def _see_through(self, proposal: Proposal, drawn: Draw, complete: Complete) -> None:
        """Take a proposal from its draw to its evaluation."""
        result = await self._propose(drawn.operator, drawn.context(self.problem, complete))
        if result is None:
            self.order.give_up(proposal.iteration)
            return
        pending = await self.order.admit(proposal, result)
        if pending is not None:
            await self._finish(pending)

    async def _finish(self, pending: Pending) -> None:
        """Evaluate a committed program and record what came of it."""
        await self.order.record(pending, await self.judge(pending.program_id, pending.program))

    def _enter(self, tasks: TaskGroup, part: Coroutine[None, None, None]) -> None:
        """Have a part of an iteration in flight until it ends."""

        async def run() -> None:
            await part
            self._in_flight -= 1
            self._changed.set()

        self._in_flight += 1
        tasks.start_soon(run)

    def _reason(self) -> str:
        """Return why no iteration may begin any more, or nothing."""
        counters = self.journal.counters
        return self._interrupted or stop_reason(self.rules, counters, self.population.objective)

    def _left(self) -> float:
        """Return how many evaluations the budget has room for."""
        budget = self.rules.evaluations
        return math.inf if budget is None else budget - self.journal.counters.evaluations

    async def _wait(self) -> None:
        """Wait until an iteration ends, or a moment: time itself can be a reason to stop."""
        with anyio.move_on_after(0.5):
            await self._changed.wait()
        self._changed = anyio.Event()
