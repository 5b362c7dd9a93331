"""One session of a run: restore what there is, search, compare on held-out cases, report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Stage, Start
from evolve.core.program import Program
from evolve.engine.aside import aside_of
from evolve.engine.assemble import Parts, population_of
from evolve.engine.assess import Assessor, check_seed
from evolve.engine.compare import Compared, compare
from evolve.engine.draw import Draw, redraw
from evolve.engine.events import (
    Event,
    FaultOccurred,
    Observer,
    Progress,
    RunStarted,
    Stopping,
)
from evolve.engine.foresight import note_forecast
from evolve.engine.grading import graded, ungraded
from evolve.engine.history import History
from evolve.engine.interrupt import interruptible
from evolve.engine.isolation import environment_of
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.loop import Loop
from evolve.engine.mail import Mail
from evolve.engine.packages import packages_of
from evolve.engine.progress import progress_of
from evolve.engine.recorder import completer
from evolve.engine.reported import reported
from evolve.engine.restore import order_of, restore
from evolve.engine.result import Result as Result  # noqa: PLC0414 - what `run` returns
from evolve.engine.resume import Opened
from evolve.engine.sampling import judging_of
from evolve.engine.shared import SharedBudget, shared_of
from evolve.engine.stop import Counters
from evolve.engine.unfinished import Unfinished
from evolve.engine.utilisation import Utilisation
from evolve.engine.width import Width
from evolve.llm.budget import Budget, Caps, Spent
from evolve.llm.ledger import Ledger
from evolve.llm.prices import Quote, standing
from evolve.propose.base import Individual
from evolve.store.records import EvaluatedProgram, ProposalRecord
from evolve.store.store import Store

#: Seconds between reports of progress; every report also renews the claim on the run.
PROGRESS_S = 1.0


class Session:
    """One session of a run, from its parts to its result."""

    def __init__(
        self,
        loaded: Loaded[RunConfig],
        parts: Parts,
        store: Store,
        opened: Opened,
        emit: Observer,
        db: str,
    ) -> None:
        config = loaded.config
        self.parts, self.store, self.opened, self.db = parts, store, opened, db
        self.loaded, self.observer = loaded, emit
        self.utilisation = Utilisation(parts.pool)
        self.config, self.run_id = config, opened.record.id
        self.counters = Counters()
        answered = sum(model.concurrency for model in config.models) or None
        self.width = Width(lambda: parts.pool.size, config.proposals, answered)
        self.environment = environment_of(parts.sandbox, packages_of(parts.problem, parts.sandbox))
        parent_of = partial(store.evaluation_of_parent, self.run_id, parts.evaluate.version)
        self.assess = Assessor(
            parts.pool,
            parts.evaluate.beside_parents(parent_of),
            self.emit,
            self.width.evaluated,
            environment=self.environment,
            known=self._known if _reuses(config, parts.problem) else lambda *_: None,
            alike=self._alike,
            given=self._given,
        )
        self.judging = judging_of(
            parts.rules,
            store,
            self.assess,
            parts.problem.objective,
            config.seed,
            self.counters,
        )
        self.population = population_of(
            loaded, parts, opened.spec, self._individual, opened.settled, self.judging.beliefs
        )
        self.history = History(
            parts.portfolio.proposers,
            Mail(store.inbox, self.run_id),
            partial(store.replies, self.run_id),
        )
        learners = (self.history.tell, parts.portfolio.tell)
        self.journal = Journal(
            store,
            self.run_id,
            self.population,
            self.counters,
            self.emit,
            learners,
            self.judging.measure,
            searching=parts.problem.mode == "search",
        )
        self.shared = shared_of(self.journal, self.history, config.stop, self._redraw)
        self.aside = aside_of(config, parts, store, self.run_id, self.judging, self.assess, emit)

    def emit(self, event: Event) -> None:
        """Tell the observers; note when the search itself is over."""
        if isinstance(event, Stopping):
            self.utilisation.end()
            if self.shared is not None:
                self.shared.announce(event.reason)
        self.aside(event)
        self.observer(event)

    async def run(self) -> Result:
        """Search, then compare; a second interruption ends either at once.

        Raises:
            KeyboardInterrupt: interrupted before the seed program was evaluated.
        """
        unfinished = Unfinished()
        if self.opened.resumed:
            version = self.assess.version
            then = None if self.shared is None else self.shared.following.start
            unfinished = restore(self.journal, self.history, version, self._redraw, then)
        self._announce()
        loop = self._loop(unfinished)
        reason = "interrupted"
        stops = partial(loop.interrupt, reason), self.ledger.abandon
        comparison: tuple[Compared, ...] = ()
        async with self._reporting(), interruptible(*stops):
            await self._seed()
            self.utilisation.begin()
            reason = await loop.run(unfinished)
            if reason != "interrupted":
                await self.aside.finish()
            if reason != "interrupted" and (self.shared is None or self.shared.is_last()):
                comparison = await self._compare()
        best = self._reported()
        if best is None:
            raise KeyboardInterrupt
        return Result(
            run_id=self.run_id,
            database=self.db,
            status="interrupted" if reason == "interrupted" else "finished",
            reason=reason,
            best=best,
            archive=self.population.archive,
            progress=self.progress(),
            comparison=comparison,
        )

    def progress(self) -> Progress:
        """Return the state of the run at this moment."""
        shares = self.utilisation.shares
        return progress_of(self.config, self.counters, self.population, self.parts.pool, shares)

    def _loop(self, unfinished: Unfinished) -> Loop:
        counters, stop = self.counters, self.config.stop
        caps = Caps(cost_usd=stop.cost_usd, tokens=stop.tokens, calls=stop.calls)
        spent = Spent(counters.cost_usd, counters.tokens, counters.calls)
        models, prices, problem = self.config.models, self._prices(), self.parts.problem
        budget = Budget(caps, spent)
        if self.shared is not None:
            budget = SharedBudget(caps, spent, self.shared, models)
        self.ledger = Ledger(self.parts.models, models, prices, budget, self._model_fault)
        if isinstance(budget, SharedBudget):
            budget.listen(self.ledger.gates)
        complete = partial(completer, self.ledger, self.store, counters)
        grades = self.config, problem, self.store, complete, self._model_fault
        return Loop(
            seed=self.config.seed,
            problem=problem,
            rules=stop,
            population=self.population,
            portfolio=self.parts.portfolio,
            history=self.history,
            completer=complete,
            judge=graded(self.judging.judge, *grades),
            journal=self.journal,
            order=self.shared or order_of(self.config, self.journal, unfinished),
            width=self.width,
        )

    def _redraw(self, begun: ProposalRecord, history: History) -> Draw:
        portfolio = self.parts.portfolio
        return redraw(self.config.seed, begun, portfolio, self.population, history)

    def _prices(self) -> dict[str, Quote]:
        """Return the configured prices, else those the run began with, else those of today."""
        return standing(self.opened.record.provenance.get("prices"), self.parts.prices)

    def _model_fault(self, message: str) -> None:
        self.emit(FaultOccurred("a model", message))

    def _announce(self) -> None:
        parts, record = self.parts, self.opened.record
        prices = self._prices()
        self.emit(
            RunStarted(
                run_id=self.run_id,
                name=record.name,
                problem=parts.problem.title,
                seed=self.config.seed,
                resumed=self.opened.resumed,
                sandbox=parts.sandbox.name,
                guarantees=tuple(parts.sandbox.guarantees()),
                unpriced=tuple(n for n, each in prices.items() if each.price is None),
                slots=self.config.slots,
                places=parts.slots.places,
                notes=(*parts.slots.notes, *self.opened.notes),
                preset=self.config.preset,
                selection=self.config.selection.kind,
                islands=self.config.islands.count,
                objective=parts.problem.objective,
                archive=self.population.archive,
            )
        )

    async def _seed(self) -> None:
        """Evaluate the seed program unless an earlier session did.

        Without a score there is nothing to start from. Nothing is committed then, so that the
        same command tries again.

        Raises:
            SeedProgramInvalid: it has no score.
            EvaluatorError: the evaluator failed on it.
            RunFailed: it met infrastructure faults.
        """
        if len(self.population.archive):
            return
        seed = self.parts.problem.seed_program
        added = self.store.add_program(
            self.run_id, seed, proposal_id=None, parent_ids=[], generation=0, operator="seed"
        )
        if self.shared and not await self.shared.wait_for_seed(added.id):
            return
        evaluation = await self.judging.judge(added.id, seed)
        check_seed(evaluation, self.parts.problem.id)
        pending = Pending(added.id, seed, "seed", None)
        if self.shared is not None:
            await self.shared.record(pending, evaluation)
        else:
            judged = Judged(pending, evaluation)
            self.journal.record(judged, await self.journal.weigh(judged))
        note_forecast(self.store, self.run_id, self.loaded, self.parts, evaluation, self.width)

    def _known(self, program: Program, stage: Stage) -> Evaluation | None:
        version = self.parts.evaluate.version
        known = self.store.known_evaluation(program.id, stage, version, self.environment)
        return known and ungraded(known)

    def _alike(self, program: Program, probe: str) -> EvaluatedProgram | None:
        version = self.parts.evaluate.version
        return self.store.alike(self.run_id, program.id, probe, version, self.environment)

    def _given(self, program_id: int) -> Start | None:
        if self.parts.problem.mode != "search":
            return None
        return self.store.constructions.given(program_id, self.parts.evaluate.version)

    def _individual(self, program_id: int) -> Individual:
        found = self.store.individual(program_id, self.parts.evaluate.version)
        return Individual(found.id, found.program, found.evaluation, found.generation)

    async def _compare(self) -> tuple[Compared, ...]:
        problem, stages = self.parts.problem, self.parts.evaluate.stages
        best = self._reported()
        program = None if best is None else best.program
        return await compare(problem, program, self.store, self.run_id, self.judging, stages)

    def _reported(self) -> Individual | None:
        """Return the best of the archive, or what the problem's rule selects."""
        problem = self.parts.problem
        if problem.select.rule == "objective":
            return self.population.best
        chosen = reported(self.store, self.run_id, problem.objective, problem.select)
        return None if chosen is None else self._individual(chosen)

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        """Report progress and renew the claim on the run for as long as the context lasts."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report)
            tasks.start_soon(self.aside.run)
            yield
            tasks.cancel_scope.cancel()

    async def _report(self) -> None:
        while True:
            await anyio.sleep(PROGRESS_S)
            self.store.heartbeat(self.run_id)
            self.emit(self.progress())


def _reuses(config: RunConfig, problem: Problem) -> bool:
    """Return whether evaluations of other runs are taken over."""
    if problem.probes and config.order == "strict":
        return False  # what other runs of the database hold must not steer this one
    if any(threshold.of_parent is not None for threshold in problem.cascade):
        return False  # where an evaluation ended depends on the parent
    return config.reuse and problem.deterministic and not problem.timed
