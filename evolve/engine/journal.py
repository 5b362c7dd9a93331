"""Everything an iteration writes: each step one transaction, then the counters, then the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evolve.core.evaluation import Evaluation
from evolve.core.program import Program
from evolve.engine.draw import Draw
from evolve.engine.events import Observer, ProgramEvaluated, ProposalRejected
from evolve.engine.population import Population
from evolve.engine.stop import Counters
from evolve.propose.base import Candidate, Rejected
from evolve.store.records import Ended
from evolve.store.store import Store


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal under way, begun in the store."""

    id: int
    iteration: int
    operator: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed program that awaits its evaluation; ``iteration`` is None for the seed."""

    program_id: int
    program: Program
    operator: str
    iteration: int | None


@dataclass(frozen=True, slots=True)
class Journal:
    """Write the steps of iterations to the store and tell observers.

    No method awaits, so no other iteration sees a step half done.

    Attributes:
        learners: Told of every proposal that ended; a resumed run tells them the same again.
    """

    store: Store
    run_id: int
    population: Population
    counters: Counters
    emit: Observer
    learners: tuple[Callable[[Ended], None], ...] = ()

    def learn(self, ended: Ended) -> None:
        """Tell what came of a proposal to those whose later choices depend on it."""
        for learner in self.learners:
            learner(ended)

    def begin(self, iteration: int, drawn: Draw) -> Proposal:
        """Commit that an operator is at work."""
        inspirations = [other.id for other in drawn.inspirations]
        operator = drawn.operator.name
        proposal = self.store.begin_proposal(
            self.run_id,
            iteration,
            operator,
            0,
            [drawn.parent.id],
            inspirations,
            getattr(drawn.operator, "model", ""),
        )
        return Proposal(proposal, iteration, operator)

    def admit(self, proposal: Proposal, result: Candidate | Rejected) -> Pending | None:
        """Commit a proposal's result; return what is to be evaluated, if anything."""
        if isinstance(result, Candidate):
            parents = [self.population.individual(parent) for parent in result.parents]
            added = self.store.add_program(
                self.run_id,
                result.program,
                proposal_id=proposal.id,
                parent_ids=list(result.parents),
                generation=1 + max(parent.generation for parent in parents),
                operator=proposal.operator,
                summary=result.summary,
            )
            if added.is_new:
                self.counters.admitted()
                return Pending(added.id, result.program, proposal.operator, proposal.iteration)
            result = Rejected("duplicate", f"the same program as {added.id}")
        else:
            self.store.reject(proposal.id, result.reason, result.message)
        self.counters.rejected(result.reason)
        for ended in self.store.ended(self.run_id, "", proposal=proposal.id):
            self.learn(ended)
        self.emit(
            ProposalRejected(proposal.iteration, proposal.operator, result.reason, result.message)
        )
        return None

    def record(self, pending: Pending, evaluation: Evaluation) -> None:
        """Commit an evaluation together with what it does to the archive."""
        placed = self.population.insert(pending.program_id, evaluation)
        events = [] if placed.event is None else [placed.event]
        self.store.commit_evaluation(pending.program_id, evaluation, events)
        self.counters.evaluated(evaluation, is_best=placed.is_best)
        version, program = evaluation.evaluator, pending.program_id
        for ended in self.store.ended(self.run_id, version, program=program):
            self.learn(ended)
        self.emit(
            ProgramEvaluated(
                iteration=pending.iteration,
                program_id=pending.program_id,
                operator=pending.operator,
                evaluation=evaluation,
                status=placed.status,
                cell=placed.cell,
                is_best=placed.is_best,
                clipped=placed.clipped,
            )
        )
