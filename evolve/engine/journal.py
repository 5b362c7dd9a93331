"""Everything an iteration writes: each step one transaction, then the counters, then the event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evolve.archive.contests import Need, Verdict, Wanted
from evolve.core.evaluation import Evaluation
from evolve.core.program import Program
from evolve.engine.draw import Draw
from evolve.engine.events import (
    ArchiveSettled,
    CasesRotated,
    InstructionWritten,
    Observer,
    ProgramEvaluated,
    ProposalRejected,
)
from evolve.engine.population import Placement, Population, Settled
from evolve.engine.stop import Counters
from evolve.propose.base import UNRELATED, WRITTEN, Instruction, Proposed, Rejected
from evolve.store.records import Ended
from evolve.store.store import Store


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal under way, begun in the store, for an island."""

    id: int
    iteration: int
    operator: str
    island: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed program that awaits its evaluation; the seed has neither iteration nor parent."""

    program_id: int
    program: Program
    operator: str
    iteration: int | None
    parent: int | None = None
    island: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A proposal that came to no program, committed: to nothing, or to an instruction."""

    proposal: Proposal
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A program with its evaluation."""

    pending: Pending
    evaluation: Evaluation


#: How an iteration ends.
Ending: TypeAlias = Refused | Judged


@dataclass(frozen=True, slots=True)
class Journal:
    """Write the steps of iterations to the store and tell observers.

    No method but `weigh` awaits, so no other iteration sees a step half done.

    Attributes:
        learners: Told of every proposal that ended; a resumed run tells them the same again.
        measure: Commits samples that a race asks for, where scores are noisy.
        searching: Whether candidates are given the best construction there is when they are drawn.
    """

    store: Store
    run_id: int
    population: Population
    counters: Counters
    emit: Observer
    learners: tuple[Callable[[Ended], None], ...] = ()
    measure: Callable[[Sequence[Wanted]], Awaitable[None]] | None = None
    searching: bool = False

    def learn(self, ended: Ended) -> None:
        """Tell what came of a proposal to those whose later choices depend on it."""
        for learner in self.learners:
            learner(ended)

    def begin(self, iteration: int, drawn: Draw, inserted: int | None = None) -> Proposal:
        """Commit that an operator is at work; ``inserted`` as in `Store.begin_proposal`."""
        inspirations = [other.id for other in drawn.inspirations]
        operator = drawn.operator.name
        parent, island = drawn.parent.id, drawn.island
        proposal = self.store.begin_proposal(
            self.run_id,
            iteration,
            operator,
            island,
            [parent],
            inspirations,
            getattr(drawn.operator, "model", ""),
            inserted=inserted,
            instruction=drawn.instruction.number if drawn.instruction else None,
            start=self.start(),
        )
        self.population.engage(iteration, parent)
        return Proposal(proposal, iteration, operator, island)

    def start(self) -> int | None:
        """Return whose construction a candidate is given that is drawn now; None: nobody's."""
        best = self.population.archive.best if self.searching else None
        return None if best is None else best.key

    def admit(self, proposal: Proposal, result: Proposed) -> Pending | Refused:
        """Commit a proposal's result: a program to be evaluated, or why there is none."""
        if isinstance(result, Rejected):
            self.store.reject(proposal.id, result.reason, result.message)
            return Refused(proposal, result.reason, result.message)
        if isinstance(result, Instruction):
            self.store.instructions.write(proposal.id, result.number, result.text, WRITTEN)
            return Refused(proposal, WRITTEN, result.text)
        parents = [self.population.individual(parent) for parent in result.parents]
        added = self.store.add_program(
            self.run_id,
            result.program,
            proposal_id=proposal.id,
            parent_ids=list(result.parents),
            generation=1 + max(parent.generation for parent in parents),
            operator=proposal.operator,
            summary=result.summary,
            island=proposal.island,
        )
        if not added.is_new:
            return Refused(proposal, "duplicate", f"the same program as {added.id}")
        return Pending(
            program_id=added.id,
            program=result.program,
            operator=proposal.operator,
            iteration=proposal.iteration,
            parent=result.parents[0],
            island=proposal.island,
        )

    def restore(self, evaluator: str) -> None:
        """Rebuild archives and census from the store: what one evaluator version judged."""
        population = self.population
        facts = self.store.facts(self.run_id, evaluator, scores=not population.spec.settled)
        settled = population.restore(facts)
        self._settle(settled)
        if settled is not None:
            self.emit(ArchiveSettled(population.archive))
        for parent in self.store.tried_in_vain(self.run_id, UNRELATED):
            population.census.tried(parent)

    def _settle(self, settled: Settled | None) -> None:
        """Commit the archive that the run has from now on, if it is another one."""
        if settled is not None:
            self.population.number = self.store.add_archive(
                self.run_id, settled.spec, settled.events, adopt=True
            )

    def refuse(self, ending: Refused) -> None:
        """Count a proposal that came to no program, learn from it and tell observers."""
        proposal = ending.proposal
        parent = self.population.disengage(proposal.iteration)
        if parent is not None and ending.reason not in UNRELATED:
            self.population.census.tried(parent)
        for ended in self.store.ended(self.run_id, "", proposal=proposal.id):
            self.learn(ended)
        if ending.reason == WRITTEN:
            self.emit(InstructionWritten(proposal.iteration, ending.message))
            return
        self.counters.rejected(ending.reason)
        self.emit(
            ProposalRejected(proposal.iteration, proposal.operator, ending.reason, ending.message)
        )

    async def weigh(self, judged: Judged) -> Verdict | None:
        """Run the race of a noisy program for its cell; None where scores do not vary.

        The verdict holds as long as nothing else happens: commit at once what follows from it.
        """
        pending, population = judged.pending, self.population
        while True:
            step = population.weigh(pending.program_id, judged.evaluation, pending.island)
            if not isinstance(step, Need):
                return step
            assert self.measure is not None  # who knows noise can measure
            await self.measure(step.samples)

    def record(self, judged: Judged, verdict: Verdict | None = None) -> None:
        """Commit an evaluation together with what it does to the archive."""
        self.tell(judged, self.commit(judged, verdict), verdict)

    def commit(self, judged: Judged, verdict: Verdict | None = None) -> Placement:
        """Commit an evaluation and what it does to the archive, and tell nobody yet."""
        placed = self._place(judged, verdict)
        self.store.commit_evaluation(judged.pending.program_id, judged.evaluation, placed.events)
        self._settle(placed.settled)
        return placed

    def judge(self, judged: Judged) -> None:
        """Commit an evaluation whose turn to enter the archive has not come."""
        self.store.commit_evaluation(judged.pending.program_id, judged.evaluation, [])

    def insert(self, judged: Judged, verdict: Verdict | None = None) -> None:
        """Commit what an evaluation committed before does to the archive."""
        pending = judged.pending
        assert pending.iteration is not None
        placed = self._place(judged, verdict)
        self.store.insert(self.run_id, pending.iteration, pending.program_id, placed.events)
        self._settle(placed.settled)
        self.tell(judged, placed, verdict)

    def _place(self, judged: Judged, verdict: Verdict | None) -> Placement:
        """Offer an evaluated program to its island, and count it."""
        pending = judged.pending
        if pending.iteration is not None:
            self.population.disengage(pending.iteration)
        return self.population.insert(
            pending.program_id,
            judged.evaluation,
            parent=pending.parent,
            island=pending.island,
            verdict=verdict,
        )

    def tell(self, judged: Judged, placed: Placement, verdict: Verdict | None = None) -> None:
        """Count an evaluation, learn from it and tell observers."""
        pending, evaluation = judged.pending, judged.evaluation
        self.counters.evaluated(evaluation, is_best=placed.is_best)
        if self.population.beliefs is not None:
            self.counters.best, self.counters.since_improvement = self.population.standing
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
                island=pending.island,
            )
        )
        if placed.settled is not None:
            self.emit(ArchiveSettled(self.population.archive))
        if verdict is not None and verdict.epoch is not None:
            archive, best = self.population.archive, self.population.standing.best
            self.emit(CasesRotated(verdict.epoch, len(archive), best))
