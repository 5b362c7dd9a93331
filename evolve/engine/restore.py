"""What an earlier session of a run left: rebuilt in memory from the store, or still to be done."""

from __future__ import annotations

import gc
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from operator import attrgetter
from typing import TypeAlias

from evolve.config.models import RunConfig
from evolve.core.evaluation import Outcome
from evolve.engine.draw import Draw
from evolve.engine.history import History
from evolve.engine.journal import Ending, Journal, Judged, Pending, Proposal, Refused
from evolve.engine.order import Arrival, Order, Strict
from evolve.engine.population import Population
from evolve.engine.unfinished import Begun, Unfinished
from evolve.store.records import ProgramRecord, ProposalRecord, Recovery
from evolve.store.store import Store

#: Makes the draw of a proposal as it was, from a history.
Redraw: TypeAlias = Callable[[ProposalRecord, History], Draw]


def restore(
    journal: Journal,
    history: History,
    evaluator: str,
    redraw: Redraw,
    then: Callable[[], None] | None = None,
) -> Unfinished:
    """Rebuild archive, counters and history from the store, and take over what was in flight.

    Args:
        journal: Of the run, empty as yet.
        history: Likewise.
        evaluator: Version of the evaluator.
        redraw: Uses the journal's population.
        then: Called while nothing that others commit can be seen, where several share the run.
    """
    store = journal.store
    recovery = store.recover(journal.run_id)  # first: a lost call costs what was reserved for it
    shared = store.sharing is not None  # then others go on writing
    with _no_garbage(), store.one_state() if shared else nullcontext():
        unfinished = _restore(journal, history, evaluator, redraw, recovery)
        if then is not None:
            then()
        return unfinished


def _restore(
    journal: Journal, history: History, evaluator: str, redraw: Redraw, recovery: Recovery
) -> Unfinished:
    store, run_id = journal.store, journal.run_id
    journal.restore(evaluator)
    endings = {ended.iteration: _ending(ended, store) for ended in recovery.ended}
    _restore_counters(journal, endings.values())
    learn = _learn_in_order if store.is_strict(run_id) else _learn_as_it_came
    found = list(map(store.program, recovery.pending))
    for program in found:
        history.begun(program.entry.operator, program.entry.parents)
    drawn = learn(journal, history, evaluator, redraw, recovery)
    unfinished = _unfinished(recovery, found, drawn, endings)
    _engage(journal.population, recovery, unfinished.programs)
    return unfinished


def take_over(
    journal: Journal, history: History, evaluator: str, redraw: Redraw, recovery: Recovery
) -> Unfinished:
    """Return the work of a controller that is gone, as this one goes on with it.

    The history that a proposal was begun with is told again: a replay will draw it from that one.

    Args:
        journal: Of the run, as far as others have come.
        history: Likewise.
        evaluator: Version of the evaluator.
        redraw: Uses the journal's population.
        recovery: The work.
    """
    drawn: dict[int, Draw] = {}
    if recovery.replies or recovery.unanswered:
        then = history.afresh()
        told = replace(journal, learners=(then.tell,))
        drawn = _learn_as_it_came(told, then, evaluator, redraw, recovery)
    found = list(map(journal.store.program, recovery.pending))
    return _unfinished(recovery, found, drawn, {})


def _unfinished(
    recovery: Recovery,
    found: Iterable[ProgramRecord],
    drawn: Mapping[int, Draw],
    endings: Mapping[int, Ending],
) -> Unfinished:
    proposals = [
        Begun(
            Proposal(begun.id, begun.iteration, begun.operator, begun.island),
            drawn[begun.iteration],
            begun.completions,
            begun.answered,
        )
        for begun in sorted((*recovery.replies, *recovery.unanswered), key=lambda b: b.iteration)
    ]
    programs = [
        _pending(each)
        for each in found
        if each.entry.iteration is not None  # the seed and the baselines are added anew
    ]
    return Unfinished(tuple(programs), tuple(proposals), endings, recovery.next_iteration)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Put off looking for garbage: millions of rows make none that is in circles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def order_of(config: RunConfig, journal: Journal, unfinished: Unfinished) -> Order:
    """Return the order of insertion that a configuration asks for, as an earlier session left it.

    Args:
        config: Says which order.
        journal: What the order writes through.
        unfinished: What else that session left.
    """
    waiting = len(unfinished.programs) + len(unfinished.proposals)
    if config.order == "arrival":
        return Arrival(journal, next_iteration=unfinished.next_iteration, begun=waiting)
    begun = [each.proposal.iteration for each in unfinished.proposals]
    return Strict(
        journal,
        config.window,
        inserted=journal.store.run(journal.run_id).inserted,
        admitted=min(begun, default=unfinished.next_iteration),
        next_iteration=unfinished.next_iteration,
        endings=unfinished.endings,
    )


def _learn_as_it_came(
    journal: Journal, history: History, evaluator: str, redraw: Redraw, recovery: Recovery
) -> dict[int, Draw]:
    """Learn from everything that ended; return the draws of what did not, by iteration.

    Each is drawn with the history that it had when it was begun, as a replay will draw it.
    """
    drawn = {}
    left = deque(sorted((*recovery.replies, *recovery.unanswered), key=attrgetter("begun_at")))

    def draw_again(before: float) -> None:
        while left and left[0].begun_at <= before:
            begun = left.popleft()
            drawn[begun.iteration] = redraw(begun, history)
            history.begun(begun.operator, begun.parents[:1])

    for ended in journal.store.ended(journal.run_id, evaluator):
        draw_again(ended.at)
        journal.learn(ended)
    draw_again(math.inf)
    return drawn


def _learn_in_order(
    journal: Journal, history: History, evaluator: str, redraw: Redraw, recovery: Recovery
) -> dict[int, Draw]:
    """Do the same for a run in strict order: every draw sees the history that it saw then."""
    store, run_id = journal.store, journal.run_id
    before = {ended.iteration for ended in recovery.ended}
    facts = (e for e in store.ended_in_order(run_id, evaluator) if e.iteration not in before)
    next_fact = next(facts, None)
    left = {begun.iteration: begun for begun in (*recovery.replies, *recovery.unanswered)}
    drawn = {}
    for each in store.draws(run_id):
        while next_fact and (next_fact.iteration is None or next_fact.iteration < each.inserted):
            journal.learn(next_fact)
            next_fact = next(facts, None)
        if each.iteration in left:
            drawn[each.iteration] = redraw(left[each.iteration], history)
        history.begun(each.operator, each.parents[:1])
    while next_fact:
        journal.learn(next_fact)
        next_fact = next(facts, None)
    return drawn


def _ending(ended: ProposalRecord, store: Store) -> Ending:
    """Return how an iteration of an earlier session ended."""
    if ended.program is None:
        proposal = Proposal(ended.id, ended.iteration, ended.operator, ended.island)
        return Refused(proposal, ended.reason, ended.message)
    found = store.program(ended.program)
    evaluation = next(each for each in reversed(found.evaluations) if each.stage == "search")
    return Judged(_pending(found), evaluation)


def _pending(found: ProgramRecord) -> Pending:
    entry = found.entry
    return Pending(
        program_id=entry.id,
        program=found.program,
        operator=entry.operator,
        iteration=entry.iteration,
        parent=next(iter(entry.parents), None),
        island=entry.island,
    )


def _engage(population: Population, recovery: Recovery, programs: Iterable[Pending]) -> None:
    """Note whose iterations are under way, ended ones that wait for their turn included."""
    for proposal in (*recovery.replies, *recovery.unanswered, *recovery.ended):
        population.engage(proposal.iteration, proposal.parents[0])
    for pending in programs:
        if pending.iteration is not None and pending.parent is not None:
            population.engage(pending.iteration, pending.parent)


def _restore_counters(journal: Journal, waiting: Collection[Ending]) -> None:
    """Count what an earlier session committed, less what waits for its turn."""
    counters, store, run_id = journal.counters, journal.store, journal.run_id
    totals = store.totals(run_id)
    judged = {k: n for k, n in totals.evaluations.items() if k is not Outcome.INFRASTRUCTURE}
    counters.evaluations = sum(judged.values())
    counters.samples = store.samples_made(run_id)
    counters.earlier_s = totals.elapsed_s
    counters.calls = sum(n for state, n in totals.completions.items() if state != "sent")
    counters.unpriced_calls = totals.unpriced_calls
    counters.cost_usd = totals.cost_usd
    counters.tokens = totals.tokens.input + totals.tokens.output
    counters.failures.update(totals.rejected)
    counters.failures.update({kind: n for kind, n in judged.items() if kind is not Outcome.OK})
    if totals.duplicates:
        counters.failures["duplicate"] = totals.duplicates
    for ending in waiting:
        if isinstance(ending, Refused):
            counters.failures[ending.reason] -= 1
            continue
        counters.evaluations -= 1
        if ending.evaluation.outcome is not Outcome.OK:
            counters.failures[ending.evaluation.outcome] -= 1
    counters.failures = +counters.failures
    counters.earlier_evaluations = counters.evaluations
    before = store.run(run_id).inserted if store.is_strict(run_id) else None
    counters.fruitless = store.fruitless(run_id, before)
    counters.best, counters.since_improvement = store.standing(run_id, before)
    if journal.population.beliefs is not None:
        counters.best, counters.since_improvement = journal.population.standing
