"""Controllers of one run in one process: each with a store, an archive and a history of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from evolve.archive.islands import ALONE, Plan
from evolve.archive.selection.plain import mixed
from evolve.archive.spec import ArchiveSpec
from evolve.config.models import StopConfig
from evolve.config.problem import Problem
from evolve.core.errors import StoreError
from evolve.core.evaluation import Evaluation
from evolve.engine.draw import Draw, draw_next, redraw
from evolve.engine.events import Event
from evolve.engine.following import Following
from evolve.engine.history import History
from evolve.engine.journal import Journal, Pending, Proposal
from evolve.engine.mail import Mail
from evolve.engine.population import Policy, Population
from evolve.engine.restore import restore
from evolve.engine.shared import Shared
from evolve.engine.stop import Counters
from evolve.engine.unfinished import NOTHING, Unfinished
from evolve.propose.base import Candidate, Individual, Proposed, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store.records import ProposalRecord
from evolve.store.store import open_store
from tests.engine.laboratory import new_run
from tests.fakes import FakeEvaluate, FakeProposer, numbered, scored

#: Islands that exchange, are reset and appear all the time.
ISLANDS = Plan(
    count=3,
    topology="random",
    migration_interval=4,
    migrants=2,
    reset_interval=11,
    spawn_stagnation=7,
    spawn_limit=5,
)


@dataclass
class Fellow:
    """One controller, stepped by hand.

    Attributes:
        left: What it took over when it came.
    """

    url: str
    problem: Problem
    clock: Callable[[], float]
    name: str = "fellow"
    evaluations: int = 1000
    archive: ArchiveSpec | None = None
    left: Unfinished = NOTHING
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem = self.problem
        self.store = open_store(self.url, clock=self.clock)
        runs = self.store.runs()
        self.run_id = runs[0].id if runs else self._create()
        try:
            self.store.join(self.run_id, self.name)
        except StoreError:
            self.store.close()
            raise
        self.portfolio = Portfolio((FakeProposer(),), (1.0,))
        plan = ISLANDS if self.archive is None else ALONE
        policy = Policy(mixed(), inspirations=2, islands=plan)
        spec = self.store.archive(self.run_id, 0).spec
        now = self.store.archive(self.run_id)
        self.population = Population(
            self.individual, spec, problem.objective, policy, settled=now if now.number else None
        )
        self.history = History(self.portfolio.proposers, Mail(self.store.inbox, self.run_id))
        self.counters = Counters()
        self.journal = Journal(
            self.store,
            self.run_id,
            self.population,
            self.counters,
            self.events.append,
            (self.history.tell,),
        )
        assert self.store.sharing is not None
        version = FakeEvaluate.version
        following = Following(self.journal, self.history, version, self.store.sharing)
        rules = StopConfig(evaluations=self.evaluations)
        self.order = Shared(self.journal, following, rules, self._redraw)
        if runs:
            start = following.start
            self.left = restore(self.journal, self.history, version, self._redraw, start)
        else:
            seed = problem.seed_program
            added = self.store.add_program(self.run_id, seed, operator="seed")
            self.record(Pending(added.id, seed, "seed", None))

    def _create(self) -> int:
        new = new_run("shared", self.problem, FakeEvaluate.version)
        return self.store.create_run(new, self.archive).id

    def individual(self, program_id: int) -> Individual:
        found = self.store.individual(program_id, FakeEvaluate.version)
        return Individual(found.id, found.program, found.evaluation, found.generation)

    def _redraw(self, begun: ProposalRecord, history: History) -> Draw:
        return redraw(0, begun, self.portfolio, self.population, history)

    def begin(self) -> tuple[Proposal, Draw] | None:
        """Begin the next iteration."""
        return self.order.begin(
            lambda n: draw_next(0, self.portfolio, self.population, self.history, n)
        )

    def admit(self, proposal: Proposal, result: Proposed) -> Pending | None:
        """Commit what came of a proposal; return the program if it is to be evaluated."""
        admitted = asyncio.run(self.order.admit(proposal, result))
        return admitted if isinstance(admitted, Pending) else None

    def propose(self, value: float | None) -> Pending | None:
        """Make a proposal of the program with that number, or of nothing."""
        begun = self.begin()
        assert begun is not None
        proposal, drawn = begun
        result: Proposed = Rejected("patch", "no")
        if value is not None:
            result = Candidate(numbered(value), (drawn.parent.id,))
        return self.admit(proposal, result)

    def record(self, pending: Pending, evaluation: Evaluation | None = None) -> None:
        """Commit an evaluation."""
        asyncio.run(self.order.record(pending, evaluation or scored(pending.program)))

    def close(self) -> None:
        """Leave."""
        self.store.close()
