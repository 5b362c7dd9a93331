"""Run a run again from its own replies and evaluations, and see whether the same comes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio

from evolve.archive.contests import Reading, Wanted
from evolve.archive.racing import Beliefs
from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.config.problem import Problem
from evolve.core.errors import InfrastructureError, StoreError
from evolve.core.evaluation import Evaluation
from evolve.engine.assemble import configured_problem, population_of, writers
from evolve.engine.draw import Draw, draw, redraw
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending, Proposal, Refused
from evolve.engine.mail import Mail
from evolve.engine.proposing import proposed
from evolve.engine.recheck import evaluate_run_again
from evolve.engine.recorder import stored_completion
from evolve.engine.replayed import Difference, Replayed
from evolve.engine.sampling import readings
from evolve.engine.stop import Counters
from evolve.engine.stored import configuration_of, rules_of_run, same_run
from evolve.llm.base import Completion, Request
from evolve.propose.base import (
    Candidate,
    Complete,
    Individual,
    Instruction,
    Proposed,
    Rejected,
)
from evolve.propose.portfolio import open_portfolio
from evolve.store.reader import Reader
from evolve.store.records import ProposalRecord, RunRecord
from evolve.store.store import Store

#: Ends of proposals that no reply explains: taken as they were recorded.
GIVEN = ("model_error", "budget", "interrupted")


def replay(
    reader: Reader,
    run: RunRecord,
    scratch: Store,
    *,
    folder: Path | None = None,
    re_evaluate: bool = False,
) -> Replayed:
    """Make a run again in another store, without a model and from its stored evaluations.

    In strict order every choice is made again. In arrival order, where timing decided what could
    be chosen from, the recorded parents and the recorded order of insertion are followed.

    Args:
        reader: Holds the run.
        run: Which one; nobody may be writing it.
        scratch: Where it is made again.
        folder: Where the configuration's relative paths start; default: where they did then.
        re_evaluate: Also run and score every program anew, and compare.

    Raises:
        StoreError: somebody is writing the run, it has no evaluated seed program, or it was judged
            by another version of the evaluator and is to be evaluated again.
        ConfigError: what its configuration names is not there any more.
    """
    if run.live:
        raise StoreError(f"run {run.id} is still being written by {run.holder}; replay it later")
    return anyio.run(partial(_replay, reader, run, scratch, folder, re_evaluate=re_evaluate))


async def _replay(
    reader: Reader, run: RunRecord, scratch: Store, folder: Path | None, *, re_evaluate: bool
) -> Replayed:
    loaded = configuration_of(run, folder)
    again = _Replay(reader, run, scratch, loaded)
    report = again.report
    await again.plant()
    await (again.in_order() if report.order == "strict" else again.as_recorded())
    report.digest = reader.archive_digest(run.id)
    report.digest_again = scratch.archive_digest(again.run_id)
    if report.digest != report.digest_again:
        report.differences.append(
            Difference(None, "archive", report.digest[:16], report.digest_again[:16])
        )
    scratch.release(again.run_id, "finished", "replayed")
    if re_evaluate:
        await evaluate_run_again(reader, run, loaded, report)
    return report


@dataclass(frozen=True, slots=True)
class _Sources:
    problem: Problem


class _Replay:
    """One replay under way."""

    def __init__(
        self, reader: Reader, run: RunRecord, scratch: Store, loaded: Loaded[RunConfig]
    ) -> None:
        config = loaded.config
        self.reader, self.run, self.scratch = reader, run, scratch
        self.seed, self.problem = config.seed, configured_problem(loaded)
        spec = reader.archive(run.id, 0).spec
        objective = self.problem.objective
        self.portfolio = open_portfolio(config, writers(config), objective, loaded.folder)
        rules = rules_of_run(run)
        beliefs = None
        if rules is not None:
            worst = objective.fitness(objective.offset)
            look_up = scratch.iteration_of
            beliefs = Beliefs(rules, self._readings, iteration=look_up, worst=worst)
        self.population = population_of(
            loaded, _Sources(self.problem), spec, self._individual, beliefs=beliefs
        )
        self.history = History(
            self.portfolio.proposers, Mail(reader.inbox, run.id), partial(reader.replies, run.id)
        )
        self.run_id = scratch.create_run(same_run(run), spec).id
        scratch.claim(self.run_id, "replay", ttl_s=1e9)
        spent = {each.iteration: each.cost_usd for each in reader.ended(run.id, run.problem_hash)}
        learners = (
            self.history.tell,
            lambda ended: self.portfolio.tell(ended._replace(cost_usd=spent[ended.iteration])),
        )
        self.journal = Journal(
            scratch,
            self.run_id,
            self.population,
            Counters(),
            lambda _: None,
            learners,
            self._measure,
            searching=self.problem.mode == "search",
        )
        self.report = Replayed(run.id, config.order)
        #: Programs of the run by those of the replay, and back.
        self.there: dict[int, int] = {}
        self.here: dict[int, int] = {}

    async def plant(self) -> None:
        """Take over the seed program, and what a rescoring carried over."""
        planted = self.reader.planted(self.run.id)
        if not planted:
            raise StoreError(f"run {self.run.id} never got past its seed program")
        for number in planted:
            found = self.reader.program(number)
            entry = found.entry
            parent = next((self.here[each] for each in entry.parents), None)
            added = self.scratch.add_program(
                self.run_id,
                found.program,
                parent_ids=[] if parent is None else [parent],
                generation=entry.generation,
                operator=entry.operator,
                island=entry.island,
            )
            self._know(number, added.id)
            pending = Pending(
                added.id, found.program, entry.operator, None, parent=parent, island=entry.island
            )
            await self._record(self._judged(pending))

    async def in_order(self) -> None:
        """Make a run in strict order again: draws, candidates, insertions."""
        waiting: deque[Judged | Refused] = deque()
        inserted = 0
        for stored in self.reader.proposals(self.run.id):
            if stored.status == "open":
                continue
            while inserted < (stored.inserted or 0):
                await self._insert(waiting.popleft())
                inserted += 1
            drawn = draw(self.seed, stored.iteration, self.portfolio, self.population, self.history)
            if not self._compare_draw(stored, drawn):
                return  # nothing after it can be the same
            ending = await self._make(stored, drawn, self._begin(stored, drawn))
            waiting.append(self._judged(ending) if isinstance(ending, Pending) else ending)
            if self.report.differences:
                return
        while waiting and self.run.status == "finished":
            await self._insert(waiting.popleft())

    async def as_recorded(self) -> None:
        """Make a run in arrival order again, step by step as the steps were committed."""
        begun: dict[int, tuple[Draw, Proposal]] = {}
        pending: dict[int, Pending] = {}
        proposals = {each.id: each for each in self.reader.proposals(self.run.id)}
        for what, key in self.reader.steps(self.run.id):
            if what == "evaluated":
                if key in self.here and key in pending:
                    await self._record(self._judged(pending.pop(key)))
                continue
            stored = proposals[key]
            if what == "begun":
                drawn = redraw(
                    self.seed, self._known(stored), self.portfolio, self.population, self.history
                )
                begun[key] = drawn, self._begin(stored, drawn)
            elif stored.status != "open":
                ending = await self._make(stored, *begun.pop(key))
                if isinstance(ending, Refused):
                    self.journal.refuse(ending)
                elif stored.program is not None:
                    pending[stored.program] = ending

    def _begin(self, stored: ProposalRecord, drawn: Draw) -> Proposal:
        self.report.iterations += 1
        self.history.begun(drawn.operator.name, [drawn.parent.id])
        self._compare_start(stored)
        proposal = self.journal.begin(stored.iteration, drawn, stored.inserted)
        for call in stored.completions:  # what they cost may steer the choice of operators
            copy = self.scratch.send_completion(proposal.id, call.model, call.prompt, {}, None)
            if call.state == "received":
                self.scratch.receive_completion(copy, stored_completion(call), call.cost_usd)
            else:
                self.scratch.fail_completion(copy, call.error, call.cost_usd)
        return proposal

    async def _make(
        self, stored: ProposalRecord, drawn: Draw, proposal: Proposal
    ) -> Pending | Refused:
        """Have the operator propose again, and commit what comes of it, or what did."""
        result: Proposed
        if stored.reason in GIVEN:
            self.report.given += 1
            return self.journal.admit(proposal, Rejected(stored.reason, stored.message))
        context = drawn.context(self.problem, self._complete(stored))
        try:
            result = await proposed(drawn.operator, context)
        except InfrastructureError as error:
            result = Rejected("model_error", str(error))
        admitted = self.journal.admit(proposal, self._compare(stored, result))
        if isinstance(admitted, Pending) and stored.program is not None:
            self.report.programs += 1
            self._know(stored.program, admitted.program_id)
        return admitted

    def _compare(self, stored: ProposalRecord, result: Proposed) -> Proposed:
        """Note a difference; return what is stored, so that later steps find their parents."""
        if isinstance(result, Rejected):
            again = f"rejected: {result.reason}"
        elif isinstance(result, Instruction):
            again = f"wrote: {result.text}"
        elif self.scratch.has_program(self.run_id, result.program):
            again = "rejected: duplicate"
        else:
            again = f"program {result.program.id[:12]}"
        record = None if stored.program is None else self.reader.program(stored.program)
        there = f"rejected: {stored.reason}"
        if stored.status == "wrote":
            there = f"wrote: {stored.message}"
        elif record is not None:
            there = f"program {record.entry.hash[:12]}"
        if again == there:
            return result
        self.report.differences.append(
            Difference(stored.iteration, f"proposal of {stored.operator}", there, again)
        )
        if stored.status == "wrote":
            number = self.reader.instructions.written(stored.id)
            return Instruction(number, stored.message)
        if record is None:
            return Rejected(stored.reason, stored.message)
        parents = tuple(self.here[parent] for parent in record.entry.parents)
        return Candidate(record.program, parents, record.entry.summary)

    def _compare_draw(self, stored: ProposalRecord, drawn: Draw) -> bool:
        """Note whether the recorded operator, parents and inspirations were drawn."""
        ids = (drawn.parent.id, *(other.id for other in drawn.inspirations))
        shown = drawn.instruction.number if drawn.instruction else None
        again = f"{drawn.operator.name} of {[self.there[each] for each in ids]}, shown {shown}"
        known = [*stored.parents, *stored.inspirations]
        there = f"{stored.operator} of {known}, shown {stored.instruction}"
        if again == there:
            self.report.draws += 1
            return True
        self.report.differences.append(Difference(stored.iteration, "draw", there, again))
        return False

    def _compare_start(self, stored: ProposalRecord) -> None:
        """Note whose construction the candidate would be given, if that is another one."""
        start = self.journal.start()
        again = None if start is None else self.there[start]
        if again != stored.start:
            self.report.differences.append(
                Difference(stored.iteration, "start", str(stored.start), str(again))
            )

    def _complete(self, stored: ProposalRecord) -> Complete:
        """Return a model that says again what it said."""
        # A call that failed and did not end the proposal was made again after a kill.
        calls = deque(call for call in stored.completions if call.state == "received")

        async def complete(model: str, request: Request) -> Completion:
            if not calls:
                raise InfrastructureError(f"{model} was not asked this often then")
            call = calls.popleft()
            self.report.replies += 1
            if call.prompt == request.to_json():
                self.report.prompts += 1
            else:
                self.report.other_prompts += 1
                if self.report.order == "strict":
                    self.report.differences.append(
                        Difference(stored.iteration, "prompt", call.prompt, request.to_json())
                    )
            return stored_completion(call)

        return complete

    async def _insert(self, ending: Judged | Refused) -> None:
        if isinstance(ending, Refused):
            self.journal.refuse(ending)
        else:
            self.journal.insert(ending, await self.journal.weigh(ending))

    async def _record(self, judged: Judged) -> None:
        self.journal.record(judged, await self.journal.weigh(judged))

    async def _measure(self, wanted: Sequence[Wanted]) -> None:
        """Say that a race asks for what was not measured then."""
        key, repeat, _ = wanted[0]
        raise StoreError(
            f"the replay wants sample {repeat} of program {self.there[key]} of run {self.run.id}, "
            "which was not measured: the run took another course"
        )

    def _readings(self, key: int, first: int) -> tuple[Reading, ...]:
        """Return the stored samples of a program, with other programs as they are called here."""
        stored = readings(
            self.reader, self.run.problem_hash, self.problem.objective, self.there[key], first
        )
        return tuple(
            each._replace(against=None if each.against is None else self.here[each.against])
            for each in stored
        )

    def _judged(self, pending: Pending) -> Judged:
        """Return a program with its stored evaluation, committed here."""
        number = self.there[pending.program_id]
        evaluation = self.reader.evaluation_of(number, "search", self.run.problem_hash)
        if evaluation is None:
            raise StoreError(
                f"program {number} of run {self.run.id} has no evaluation; resume the run first"
            )
        self.report.evaluations += 1
        start = None if evaluation.start is None else self.here[evaluation.start]
        evaluation = replace(self._compare_probes(pending, evaluation), start=start)
        judged = Judged(pending, evaluation)
        if pending.iteration is not None and self.report.order == "strict":
            self.journal.judge(judged)
        return judged

    def _compare_probes(self, pending: Pending, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation with the program it is like as that is called here.

        In strict order it is looked up again: it follows from what was inserted.
        """
        like = evaluation.behaves_like
        if evaluation.probe and self.report.order == "strict":
            probe, environment = evaluation.probe, evaluation.environment
            version, hash_ = self.run.problem_hash, pending.program.id
            found = self.scratch.alike(self.run_id, hash_, probe, version, environment)
            again = None if found is None else self.there[found.id]
            if again != like:
                self.report.differences.append(
                    Difference(pending.iteration, "behaves like", str(like), str(again))
                )
        return evaluation if like is None else replace(evaluation, behaves_like=self.here[like])

    def _individual(self, program_id: int) -> Individual:
        found = self.scratch.individual(program_id, self.run.problem_hash)
        return Individual(found.id, found.program, found.evaluation, found.generation)

    def _known(self, stored: ProposalRecord) -> ProposalRecord:
        """Return a stored proposal with its programs as they are called here."""
        return replace(
            stored,
            parents=tuple(self.here[each] for each in stored.parents),
            inspirations=tuple(self.here[each] for each in stored.inspirations),
        )

    def _know(self, there: int, here: int) -> None:
        self.there[here], self.here[there] = there, here
