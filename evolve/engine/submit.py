"""Evaluate the programs that people sent to a run that nobody is writing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio

from evolve.core.errors import StoreError
from evolve.engine.assemble import Bench, open_bench, population_of
from evolve.engine.assess import Assessor
from evolve.engine.draw import Draw, draw, redraw
from evolve.engine.events import Event, Observer
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.mail import Mail
from evolve.engine.proposing import proposed
from evolve.engine.restore import restore
from evolve.engine.resume import holder
from evolve.engine.sampling import Judging, judging_of
from evolve.engine.stop import Counters
from evolve.engine.stored import configuration_of
from evolve.llm.base import Completion, Request
from evolve.propose.base import Individual
from evolve.store.records import ProposalRecord, RunRecord
from evolve.store.store import Store


def check_takes(store: Store, run: RunRecord) -> None:
    """Refuse a run that no program can enter any more.

    Raises:
        StoreError: it is finished and in strict order.
    """
    if run.status == "finished" and not run.live and store.is_strict(run.id):
        raise StoreError(
            f"run {run.id} is finished, and in strict order only a run that goes on takes programs"
            "; `evolve run --new` begins another one, to submit to while it runs"
        )


def evaluate_submitted(
    store: Store, run: RunRecord, observers: tuple[Observer, ...] = (), folder: Path | None = None
) -> int:
    """Take every waiting program of a run through admission, evaluation and its archive.

    The run keeps its status. What an interrupted session left in flight stays for the session that
    resumes it.

    Args:
        store: Holds the run.
        run: Nobody may be writing it.
        observers: Told what came of each program.
        folder: Where the configuration's relative paths start; default: where they did then.

    Returns:
        How many programs were taken.

    Raises:
        RunLocked: somebody is writing it after all.
        StoreError: it is in strict order, where only a resumed run may add to it, or has no
            evaluated seed program, or was judged by another version of the evaluator.
    """
    return anyio.run(partial(_evaluate, store, run, observers, folder))


async def _evaluate(
    store: Store, run: RunRecord, observers: tuple[Observer, ...], folder: Path | None
) -> int:
    loaded = configuration_of(run, folder)
    if loaded.config.order == "strict":
        raise StoreError(
            f"run {run.id} is in strict order, so only the run itself can take a program: it waits "
            "until `evolve run` resumes it"
        )
    async with open_bench(loaded) as bench:
        if bench.evaluate.version != run.problem_hash:
            raise StoreError(f"the evaluator of run {run.id} has changed since; it judges no more")
        store.claim(run.id, holder())
        try:

            def emit(event: Event) -> None:
                for observer in observers:
                    observer(event)

            def individual(number: int) -> Individual:
                found = store.individual(number, bench.evaluate.version)
                return Individual(found.id, found.program, found.evaluation, found.generation)

            history = History(
                bench.portfolio.proposers,
                Mail(store.inbox, run.id),
                partial(store.replies, run.id),
            )
            spec = store.archive(run.id, 0).spec
            settled = store.archive(run.id) if run.archive else None
            counters = Counters(earlier_s=run.elapsed_s)
            judging = judging_of(
                bench.rules,
                store,
                Assessor(bench.pool, bench.evaluate, emit, lambda _: None),
                bench.problem.objective,
                loaded.config.seed,
                counters,
            )
            population = population_of(loaded, bench, spec, individual, settled, judging.beliefs)
            learners = (history.tell, bench.portfolio.tell)
            journal = Journal(store, run.id, population, counters, emit, learners, judging.measure)
            return await _take_all(loaded.config.seed, run, bench, journal, history, judging)
        finally:
            store.release(run.id, run.status, run.reason)


async def _take_all(
    seed: int,
    run: RunRecord,
    bench: Bench,
    journal: Journal,
    history: History,
    judging: Judging,
) -> int:
    """Give each waiting program an iteration of its own, one after the other."""
    version, population, inbox = bench.evaluate.version, journal.population, journal.store.inbox

    def again(begun: ProposalRecord, known: History) -> Draw:
        return redraw(seed, begun, bench.portfolio, population, known)

    unfinished = restore(journal, history, version, again)
    if history.seed is None:
        raise StoreError(f"run {run.id} has no evaluated seed program; `evolve run` begins with it")
    iteration = unfinished.next_iteration
    taken = 0
    while inbox.waiting(run.id) or inbox.program(run.id, iteration):
        history.mail.collect(iteration)
        drawn = draw(seed, iteration, bench.portfolio, population, history)
        proposal = journal.begin(iteration, drawn)
        context = drawn.context(bench.problem, _no_model)
        result = await proposed(drawn.operator, context)
        admitted = journal.admit(proposal, result)
        if isinstance(admitted, Pending):
            evaluation = await judging.judge(admitted.program_id, admitted.program)
            judged = Judged(admitted, evaluation)
            journal.record(judged, await journal.weigh(judged))
        else:
            journal.refuse(admitted)
        iteration, taken = iteration + 1, taken + 1
    return taken


async def _no_model(model: str, request: Request) -> Completion:
    """Refuse: a submitted program needs no model."""
    raise AssertionError(f"{model} was about to be asked {len(request.messages)} messages")
