"""One iteration: choose, propose, admit, evaluate, record. Many are in flight at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

import anyio

from evolve.config.models import StopConfig
from evolve.config.problem import Problem
from evolve.engine.assess import Assessor
from evolve.engine.draw import Draw, draw, redraw
from evolve.engine.events import Stopping
from evolve.engine.history import History
from evolve.engine.journal import Journal, Pending, Proposal
from evolve.engine.population import Population
from evolve.engine.proposing import Proposing
from evolve.engine.resume import Unfinished
from evolve.engine.stop import stop_reason
from evolve.engine.width import Width
from evolve.propose.base import Complete, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store.records import CompletionRecord, OpenProposal


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
    history: History
    completer: Callable[[int, Sequence[CompletionRecord]], Complete]
    assess: Assessor
    journal: Journal
    width: Width
    _in_flight: int = 0
    _propose: Proposing = field(init=False)
    _interrupted: str = ""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._propose = Proposing(self.journal.counters, self.width, self.interrupt)

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
            for begun in unfinished.proposals:
                self._in_flight += 1
                tasks.start_soon(self._go_on, begun)
            while not (reason := self._reason()):
                if self._in_flight < self._room():
                    self._in_flight += 1
                    tasks.start_soon(self._iterate, next(iterations))
                else:
                    await self._wait()
            self.journal.emit(Stopping(reason))
            tasks.start_soon(self._propose.hurry, self.rules.grace_s)
        return reason

    def interrupt(self, reason: str) -> None:
        """Start nothing new; `run` returns ``reason`` once everything in flight is committed."""
        self._interrupted = reason
        self._changed.set()

    async def _iterate(self, iteration: int) -> None:
        """Take one iteration from its parents to the archive."""
        drawn = draw(self.seed, iteration, self.portfolio, self.population, self.history)
        self.history.begun(drawn.operator.name, [drawn.parent.id])
        await self._see_through(self.journal.begin(iteration, drawn), drawn)

    async def _go_on(self, begun: OpenProposal) -> None:
        """Go on with a proposal whose first replies an earlier session paid for."""
        proposal = Proposal(begun.id, begun.iteration, begun.operator)
        operator = self.portfolio.named(begun.operator, begun.model)
        if operator is None:
            self.journal.admit(proposal, Rejected("interrupted", "its operator is no more"))
            self._leave()
            return
        ids = [*begun.parents, *begun.inspirations]
        drawn = redraw(self.seed, begun.iteration, operator, ids, self.population, self.history)
        await self._see_through(proposal, drawn, begun.completions)

    async def _see_through(
        self, proposal: Proposal, drawn: Draw, replies: Sequence[CompletionRecord] = ()
    ) -> None:
        """Take a proposal from its draw to the archive."""
        context = drawn.context(self.problem, self.completer(proposal.id, replies))
        pending = self.journal.admit(proposal, await self._propose(drawn.operator, context))
        if pending is None:
            self._leave()
        else:
            await self._finish(pending)

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
