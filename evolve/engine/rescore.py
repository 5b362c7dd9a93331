"""A changed evaluator: programs of a run are evaluated anew, into a run of their own.

Scores of two evaluator versions say different things and never share an archive. So the old run
stays as it is, and its programs are carried over into a new one, which the search then goes on
from. See ``docs/design/0004-rescore.md``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio

from evolve.archive.contests import Wanted
from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.errors import StoreError, first_error
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.assemble import Bench, open_bench, population_of
from evolve.engine.assess import Assessor, check_seed
from evolve.engine.events import Observer
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.reexecute import Moved, compared
from evolve.engine.resume import claim_run, create_run, search_hash
from evolve.engine.sampling import judging_of
from evolve.engine.stop import Counters
from evolve.engine.stored import configuration_of
from evolve.propose.base import Individual
from evolve.store.records import ProgramEntry, ProgramRecord, RunRecord
from evolve.store.store import Store

#: Where a run's provenance names the run that its first programs came from.
FROM = "rescored_from"


@dataclass(slots=True)
class Rescored:
    """What came of carrying a run over to another version of its evaluator.

    Attributes:
        run_id: The old run; ``new_run_id`` the new one.
        version: Of the evaluator then; ``new_version`` now.
        programs: Carried over, in this session or an earlier one.
        moved: Programs of the old run whose evaluation came out differently.
        left: Evaluated programs of the old run that were not carried over.
        best: Best objective of the old run; ``new_best`` of the new one.
    """

    run_id: int
    new_run_id: int
    version: str
    new_version: str
    programs: int = 0
    moved: list[Moved] = field(default_factory=list)
    left: int = 0
    best: float | None = None
    new_best: float | None = None


def rescore(
    store: Store,
    run: RunRecord,
    *,
    top: int = 0,
    everything: bool = False,
    folder: Path | None = None,
    emit: Observer = lambda _: None,
) -> Rescored:
    """Evaluate the elites of a run under the evaluator as it is now, into a new run.

    The same call goes on with one that was killed.

    Args:
        store: Holds the run.
        run: The old run.
        top: Also so many of its best programs.
        everything: Also all its other programs.
        folder: Where the configuration's relative paths start; default: where they did then.
        emit: Told of faults and of every evaluation.

    Raises:
        StoreError: the evaluator is the same, or somebody writes the run.
        SeedProgramInvalid: the seed program has no score any more.
    """
    if run.live:
        raise StoreError(f"run {run.id} is being written by {run.holder}; stop that process first")
    try:
        return anyio.run(partial(_rescore, store, run, top, folder, emit, everything=everything))
    except BaseExceptionGroup as group:
        raise first_error(group) from group


async def _rescore(
    store: Store,
    run: RunRecord,
    top: int,
    folder: Path | None,
    emit: Observer,
    *,
    everything: bool,
) -> Rescored:
    loaded = configuration_of(run, folder)
    async with open_bench(loaded, emit) as bench:
        version = bench.evaluate.version
        if version == run.problem_hash:
            raise StoreError(
                f"the evaluator of run {run.id} is the same as then ({version[:12]}): there is "
                "nothing to rescore. `evolve replay --re-evaluate` tells whether its scores repeat."
            )
        carrying = _Carrying(store, run, loaded, bench, emit)
        try:
            await carrying.carry(chosen(store, run, top, everything=everything))
        finally:
            reason = f"rescored from run {run.id}"
            store.release(carrying.report.new_run_id, "interrupted", reason)
    return carrying.report


def chosen(store: Store, run: RunRecord, top: int, *, everything: bool) -> list[int]:
    """Return the programs to carry over: the seed program, the elites, then the rest.

    Within each part ancestors come before their descendants.
    """
    seeds = [entry.id for entry in store.programs(run.id, operator="seed")]
    elites = sorted({elite.program_id for elite in store.elites(run.id)})
    further = [entry.id for entry in store.leaderboard(run.id, top)] if top else []
    if everything:
        further = [entry.id for entry in evaluated(store, run)]
    return list(dict.fromkeys([*seeds, *elites, *sorted(further)]))


def evaluated(store: Store, run: RunRecord) -> list[ProgramEntry]:
    """Return the programs of a run that have a verdict, baselines left out."""
    return [
        entry
        for entry in store.programs(run.id)
        if entry.outcome is not None and not entry.operator.startswith("baseline:")
    ]


class _Carrying:
    """Programs on their way from one run to another."""

    def __init__(
        self, store: Store, run: RunRecord, loaded: Loaded[RunConfig], bench: Bench, emit: Observer
    ) -> None:
        self.store, self.run, self.bench, self.emit = store, run, bench, emit
        new = self._unfinished(loaded)
        fresh = new is None
        if new is None:
            new = create_run(store, loaded, bench, {FROM: run.id}, run.name)
        opened = claim_run(store, new, resumed=not fresh)
        best = store.standing(run.id).best
        version = bench.evaluate.version
        self.report = Rescored(run.id, new.id, run.problem_hash, version, best=best)
        self.counters = Counters(earlier_s=new.elapsed_s)
        self.judging = judging_of(
            bench.rules,
            store,
            Assessor(bench.pool, bench.evaluate, emit, lambda _: None),
            bench.problem.objective,
            loaded.config.seed,
            self.counters,
        )
        population = population_of(
            loaded, bench, opened.spec, self._individual, opened.settled, self.judging.beliefs
        )
        self.journal = Journal(
            store, new.id, population, self.counters, emit, measure=self.judging.measure
        )
        if not fresh:
            population.restore(store.facts(new.id, version))
        self.samples = store.estimates(run.id) if bench.rules is not None else {}
        self.carried: dict[int, int] = {}
        self._waiting: deque[int] = deque()
        self._ready: dict[int, Evaluation] = {}
        self._recording = anyio.Lock()

    async def carry(self, numbers: list[int]) -> None:
        """Evaluate programs, as many at once as there are slots, and record them in order."""
        known = {
            entry.hash: entry.id
            for entry in self.store.programs(self.report.new_run_id)
            if entry.outcome not in (None, Outcome.INFRASTRUCTURE)
        }
        left = []
        for number in numbers:
            hash_ = self.store.program(number).entry.hash
            if hash_ in known:
                self.carried[number] = known[hash_]
            else:
                left.append(number)
        coming = iter(left)

        async def work() -> None:
            for number in coming:
                await self._evaluate(number)

        async with anyio.create_task_group() as tasks:
            for _ in range(self.bench.pool.size):
                tasks.start_soon(work)
        self._conclude(numbers)

    async def _evaluate(self, number: int) -> None:
        """Add a program to the new run, evaluate it there, and record whose turn it is."""
        old = self.store.program(number)
        entry, parent = old.entry, self._parent(number)
        added = self.store.add_program(
            self.report.new_run_id,
            old.program,
            parent_ids=[] if parent is None else [parent],
            generation=entry.generation,
            operator=entry.operator,
            summary=entry.summary,
            island=entry.island,
        )
        self.carried[number] = added.id
        self._waiting.append(number)
        self._ready[number] = await self.judging.judge(added.id, old.program)
        async with self._recording:
            while self._waiting and self._waiting[0] in self._ready:
                first = self._waiting.popleft()
                await self._record(self.store.program(first), self._ready.pop(first))

    async def _record(self, old: ProgramRecord, evaluation: Evaluation) -> None:
        """Record the evaluation of a program in the new run."""
        entry = old.entry
        key = self.carried[entry.id]
        if evaluation.outcome is Outcome.INFRASTRUCTURE:
            del self.carried[entry.id]
            return  # the same command tries again
        if entry.operator == "seed":
            check_seed(evaluation, self.run.problem)
        await self._measure_alike(key, entry.id, evaluation)
        parent = self._parent(entry.id)
        pending = Pending(
            key, old.program, entry.operator, None, parent=parent, island=entry.island
        )
        judged = Judged(pending, evaluation)
        self.journal.record(judged, await self.journal.weigh(judged))
        before = self.store.evaluation_of(entry.id, "search", self.run.problem_hash)
        if before is not None:
            moved = compared(entry.id, entry.hash, before, evaluation)
            self.report.moved += [] if moved is None else [moved]

    async def _measure_alike(self, key: int, old: int, evaluation: Evaluation) -> None:
        """Give a noisy program as many samples as it had, so that it is known as well.

        Timed programs are measured beside their rivals instead, in races.
        """
        rules, had = self.bench.rules, self.samples.get(old)
        if rules is None or rules.timed or had is None or evaluation.score is None:
            return
        assert self.judging.measure is not None  # scores vary
        wanted = range(evaluation.samples, min(had.n, rules.most))
        await self.judging.measure([Wanted(key, repeat) for repeat in wanted])

    def _parent(self, number: int) -> int | None:
        """Return the nearest ancestor that was carried over, as it is called in the new run."""
        _, *ancestors = self.store.lineage(number)
        return next((self.carried[a.id] for a in ancestors if a.id in self.carried), None)

    def _conclude(self, numbers: list[int]) -> None:
        report = self.report
        report.programs = len(self.carried)
        report.left = len(evaluated(self.store, self.run)) - len(numbers)
        report.new_best = self.store.standing(report.new_run_id).best

    def _unfinished(self, loaded: Loaded[RunConfig]) -> RunRecord | None:
        """Return the run that an earlier session of the same rescoring left."""
        identity = search_hash(loaded.config, self.bench.problem)
        found = self.store.unfinished_run(identity, self.bench.evaluate.version)
        return found if found and found.provenance.get(FROM) == self.run.id else None

    def _individual(self, program_id: int) -> Individual:
        found = self.store.individual(program_id, self.bench.evaluate.version)
        return Individual(found.id, found.program, found.evaluation, found.generation)
