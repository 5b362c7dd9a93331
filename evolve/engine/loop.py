"""One iteration: choose, propose, admit, evaluate, record. Many are in flight at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup

from evolve.config.models import StopConfig
from evolve.config.problem import Problem
from evolve.engine.assess import Judge
from evolve.engine.draw import Draw, draw_next
from evolve.engine.events import Stopping
from evolve.engine.flight import Flight
from evolve.engine.history import History
from evolve.engine.journal import Journal, Pending, Proposal
from evolve.engine.order import Order
from evolve.engine.population import Population
from evolve.engine.proposing import CUT_SHORT, Proposing
from evolve.engine.recorder import Completer, paid_for
from evolve.engine.stop import evaluations_left, stop_reason
from evolve.engine.unfinished import Unfinished
from evolve.engine.width import Width
from evolve.propose.base import Complete, Proposed
from evolve.propose.portfolio import Portfolio
from evolve.store.calls import answered


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
    completer: Completer
    judge: Judge
    journal: Journal
    order: Order
    width: Width
    _propose: Proposing = field(init=False)
    _open: list[tuple[Proposal, Draw, Proposed]] = field(default_factory=list)
    _interrupted: str = ""
    _flight: Flight = field(default_factory=Flight)

    def __post_init__(self) -> None:
        self._propose = Proposing(self.width, self.interrupt)

    async def run(self, unfinished: Unfinished) -> str:
        """Finish what an earlier session left, iterate until a reason to stop, and drain.

        Returns:
            The stop rule's name, or what `interrupt` was called with.

        Raises:
            ModelUnavailable: a model cannot be had.
        """
        async with anyio.create_task_group() as tasks:
            self._take_up(tasks, unfinished)
            while not (reason := self._reason()):
                self._take_up(tasks, self.order.inherit())
                if not self.order.may_begin(evaluations_left(self.rules, self.journal.counters)):
                    progress = await self.order.advance()
                elif progress := self._flight.size < self.width.limit:
                    progress = self._iterate(tasks)
                await self._flight.wait(0.0 if progress else self.width.grows_in_s)
            self.journal.emit(Stopping(reason))
            tasks.start_soon(self._propose.hurry, self.rules.grace_s)
        failure = self._propose.failure
        if finished := failure is None and reason != "interrupted":
            await self._end_open(reason)
        await self.order.close(finished=finished)
        if failure is not None:
            raise failure
        return reason

    def interrupt(self, reason: str) -> None:
        """Start nothing new; `run` returns ``reason`` once everything in flight is committed."""
        self._interrupted = reason
        self._flight.stir()

    def _take_up(self, tasks: TaskGroup, left: Unfinished) -> None:
        """Go on with what others left."""
        for pending in left.programs:
            self._flight.enter(tasks, self._finish(pending))
        for begun in left.proposals:
            if begun.answered or not self._reason():
                complete = self.completer(begun.proposal.id, begun.completions)
                part = self._see_through(begun.proposal, begun.drawn, complete)
            else:
                part = self._admit(begun.proposal, begun.drawn, CUT_SHORT)
            self._flight.enter(tasks, part)

    def _iterate(self, tasks: TaskGroup) -> bool:
        """Begin the next iteration if it may begin; return whether it did."""
        drawing = partial(draw_next, self.seed, self.portfolio, self.population, self.history)
        if (begun := self.order.begin(drawing)) is not None:
            self._flight.enter(tasks, self._see_through(*begun, self.completer(begun[0].id, ())))
        return begun is not None

    async def _see_through(self, proposal: Proposal, drawn: Draw, complete: Complete) -> None:
        """Take a proposal from its draw to its evaluation."""
        result = await self._propose(drawn.operator, drawn.context(self.problem, complete))
        if result is None:
            self.order.give_up(proposal.iteration)
        else:
            await self._admit(proposal, drawn, result)

    async def _admit(self, proposal: Proposal, drawn: Draw, result: Proposed) -> None:
        """Commit what came of a proposal, and evaluate it."""
        admitted = await self.order.admit(proposal, result)
        if admitted is None:
            self._open.append((proposal, drawn, result))
        elif isinstance(admitted, Pending):
            await self._finish(admitted)

    async def _end_open(self, reason: str) -> None:
        """Leave no proposal of a finished run open: what was paid for is used."""
        self.order.leave_none_open()
        async with anyio.create_task_group() as tasks:
            self._take_up(tasks, self.order.inherit())
            for proposal, drawn, result in self._open:
                calls = self.journal.store.completions_of(proposal.id)
                if result is CUT_SHORT and answered(calls):
                    part = self._see_through(proposal, drawn, paid_for(calls, reason))
                else:
                    part = self._admit(proposal, drawn, result)
                self._flight.enter(tasks, part)
            tasks.start_soon(self._propose.hurry, self.rules.grace_s)

    async def _finish(self, pending: Pending) -> None:
        """Evaluate a committed program and record what came of it."""
        await self.order.record(pending, await self.judge(pending.program_id, pending.program))

    def _reason(self) -> str:
        """Return why no iteration may begin any more, or nothing."""
        counters = self.journal.counters
        return self._interrupted or stop_reason(self.rules, counters, self.population.objective)
