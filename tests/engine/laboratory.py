"""A search without processes: the real loop, journal, archive and store around fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from evolve.archive.selection.plain import mixed
from evolve.archive.spec import ArchiveSpec
from evolve.config.models import ModelConfig, RunConfig, StopConfig
from evolve.config.problem import Problem
from evolve.core.errors import EvolveError
from evolve.core.evaluation import Evaluation
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.engine.assess import Assessor, Judge
from evolve.engine.draw import Draw, redraw
from evolve.engine.events import Event
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.loop import Loop
from evolve.engine.mail import Mail
from evolve.engine.population import Policy, Population
from evolve.engine.recorder import completer
from evolve.engine.restore import order_of, restore
from evolve.engine.stop import Counters
from evolve.engine.unfinished import Unfinished
from evolve.engine.utilisation import Utilisation
from evolve.engine.width import Width
from evolve.llm.base import Model
from evolve.llm.budget import Budget, Caps
from evolve.llm.ledger import Ledger
from evolve.llm.prices import quotes
from evolve.pool.local import LocalPool
from evolve.propose.base import Individual, Proposer
from evolve.propose.portfolio import Portfolio
from evolve.store.records import NewRun, ProposalRecord
from evolve.store.store import Store
from tests.fakes import FakeEvaluate, FakeProposer, InProcessSandbox, scored

_Event = TypeVar("_Event")


def new_run(name: str, problem: Problem, evaluator: str) -> NewRun:
    """Return a run of ``problem`` that is judged by one version of an evaluator."""
    return NewRun(
        name=name,
        problem=problem.id,
        seed=0,
        config_json="{}",
        config_hash="c",
        problem_hash=evaluator,
        evaluator_ref=problem.evaluator,
        provenance={},
        objective=problem.objective,
        measures=problem.measures,
    )


@dataclass
class Laboratory:
    """One run in a database; what may vary of a search is an attribute, to be set before it.

    Attributes:
        judge_seed: Makes the seed program's evaluation.
        more: Operators beside ``proposer``, drawn as often.
        on_start: Given the loop before it runs.
        utilisation: Shares of the last search's time that slots were lent, draining included.
    """

    problem: Problem
    store: Store
    evaluate: FakeEvaluate = field(default_factory=FakeEvaluate)
    proposer: FakeProposer = field(default_factory=FakeProposer)
    more: Sequence[Proposer] = ()
    slots: int = 2
    proposals: int | None = 1
    policy: Policy = field(default_factory=lambda: Policy(mixed(), inspirations=2))
    models: dict[str, Model] = field(default_factory=dict)
    model_configs: tuple[ModelConfig, ...] = ()
    on_start: Callable[[Loop], None] = lambda _: None
    events: list[Event] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    run_id: int = 0
    utilisation: tuple[float, ...] = ()
    order: str = "arrival"
    window: int = 4
    archive: ArchiveSpec | None = None
    judge_seed: Callable[[Program], Evaluation] = scored

    def __post_init__(self) -> None:
        problem = self.problem
        new = new_run("lab", problem, problem.hash)
        self.run_id = self.store.create_run(new, self.archive).id
        self.store.claim(self.run_id, "lab:1")
        self.journal = self.new_journal()

    @property
    def counters(self) -> Counters:
        return self.journal.counters

    def new_journal(self) -> Journal:
        """Return a journal that knows nothing of what the store holds, as a new process would."""
        problem = self.problem
        archive = self.store.archive(self.run_id)
        population = Population(
            self.individual,
            self.store.archive(self.run_id, 0).spec,
            problem.objective,
            self.policy,
            settled=archive if archive.number else None,
        )
        mail = Mail(self.store.inbox, self.run_id)
        self.history = History(self._portfolio.proposers, mail)
        learners = (self.history.tell,)
        counters = Counters()
        return Journal(self.store, self.run_id, population, counters, self.events.append, learners)

    def individual(self, program_id: int) -> Individual:
        found = self.store.individual(program_id, self.evaluate.version)
        return Individual(found.id, found.program, found.evaluation, found.generation)

    def plant(self) -> Pending:
        """Commit the seed program with its evaluation."""
        seed = self.problem.seed_program
        added = self.store.add_program(self.run_id, seed, operator="seed")
        pending = Pending(added.id, seed, "seed", None)
        self.journal.record(Judged(pending, self.judge_seed(seed)))
        return pending

    def judge_with(self, pool: LocalPool, width: Width) -> Judge:
        """Return what judges programs."""
        return Assessor(pool, self.evaluate, self.events.append, width.evaluated).judge

    async def search(self, **rules: float) -> str:
        """Search from the seed program until one of the stop rules says so; return which."""
        self.journal = self.new_journal()
        self.plant()
        return await self._loop(Unfinished(), rules)

    async def resume(self, **rules: float) -> str:
        """Go on in a new process's place."""
        self.journal = self.new_journal()

        def again(begun: ProposalRecord, history: History) -> Draw:
            return redraw(0, begun, self._portfolio, self.journal.population, history)

        unfinished = restore(self.journal, self.history, self.evaluate.version, again)
        return await self._loop(unfinished, rules)

    @property
    def _portfolio(self) -> Portfolio:
        operators = (self.proposer, *self.more)
        return Portfolio(operators, (1.0,) * len(operators))

    async def _loop(self, unfinished: Unfinished, rules: dict[str, float]) -> str:
        stop = StopConfig.model_validate(rules)
        config = RunConfig.model_validate(
            {
                "problem": "lab",
                "proposers": [{"kind": "fake"}],
                "order": self.order,
                "window": self.window,
                "stop": stop,
            }
        )
        caps = Caps(cost_usd=stop.cost_usd, tokens=stop.tokens, calls=stop.calls)
        configs = self.model_configs
        ledger = Ledger(self.models, configs, quotes(configs), Budget(caps), self.told.append)
        width = Width(self.slots, self.proposals)
        async with LocalPool(InProcessSandbox(), self.slots, Limits()) as pool:
            loop = Loop(
                seed=0,
                problem=self.problem,
                rules=stop,
                population=self.journal.population,
                portfolio=self._portfolio,
                history=self.history,
                completer=partial(completer, ledger, self.store, self.counters),
                judge=self.judge_with(pool, width),
                journal=self.journal,
                order=order_of(config, self.journal, unfinished),
                width=width,
            )
            self.on_start(loop)
            busy = Utilisation(pool)
            busy.begin()
            try:
                return await loop.run(unfinished)
            except BaseExceptionGroup as group:
                raise _leaf(group) from group
            finally:
                self.utilisation = busy.shares

    def of(self, kind: type[_Event]) -> list[_Event]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def evaluations(self) -> int:
        """Return how many search evaluations the database holds."""
        return sum(self.store.totals(self.run_id).evaluations.values())

    def left_over(self) -> tuple[int, int]:
        """Return the numbers of leased programs and of open proposals."""
        recovery = self.store.recover(self.run_id)
        return len(recovery.pending), len(recovery.replies) + len(recovery.unanswered)


def _leaf(group: BaseExceptionGroup[BaseException]) -> EvolveError:
    """Return the first of errors that were all raised on purpose, for one reason."""
    leaves = [
        _leaf(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    assert len({type(error) for error in leaves}) == 1
    assert isinstance(leaves[0], EvolveError)
    return leaves[0]
