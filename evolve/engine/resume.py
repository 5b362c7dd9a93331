"""Begin a run in the store, or go on with one that was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version

from evolve.config.file import Loaded, config_hash
from evolve.config.models import PoolConfig, RunConfig, StopConfig
from evolve.config.problem import Problem
from evolve.core.evaluation import Outcome
from evolve.engine.assemble import Parts
from evolve.engine.history import History
from evolve.engine.journal import Journal, Pending
from evolve.engine.stop import Counters
from evolve.store.records import NewRun, OpenProposal, RunRecord
from evolve.store.store import Store

#: Keys that do not change which programs are found from which; see docs/design/0003.
WITHOUT_EFFECT: Mapping[str, object] = {
    "name": "",
    "slots": 1,
    "proposals": None,
    "pool": PoolConfig(),
    "stop": StopConfig(evaluations=1),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A claimed run."""

    record: RunRecord
    resumed: bool


def open_run(store: Store, loaded: Loaded[RunConfig], parts: Parts, *, new: bool) -> Opened:
    """Claim the unfinished run of this configuration, or create and claim a new one.

    Raises:
        RunLocked: another live process is writing that run.
    """
    config, problem = loaded.config, parts.problem
    identity = search_hash(config, problem)
    record = None if new else store.unfinished_run(identity, parts.evaluate.version)
    resumed = record is not None
    if record is None:
        record = store.create_run(
            NewRun(
                name=config.name or loaded.path.stem,
                problem=problem.id,
                seed=config.seed,
                config_json=config.model_dump_json(),
                config_hash=identity,
                problem_hash=parts.evaluate.version,
                evaluator_ref=problem.evaluator,
                provenance=provenance(parts),
                objective=problem.objective,
                measures=problem.measures,
            )
        )
    store.claim(record.id, f"{socket.gethostname()}:{os.getpid()}")
    return Opened(record, resumed)


def search_hash(config: RunConfig, problem: Problem) -> str:
    """Return the SHA-256 of what steers a search, beside what `Problem.hash` covers."""
    steering = {
        "config": config_hash(config.model_copy(update=dict(WITHOUT_EFFECT))),
        "seed_program": problem.seed_program.id,
        "statement": problem.statement,
        "measures": [asdict(measure) for measure in problem.measures],
    }
    return hashlib.sha256(json.dumps(steering, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an earlier session left to do.

    Attributes:
        programs: Committed, not evaluated.
        proposals: Begun and answered at least once: the replies are used, not asked for again.
        iterations: Begun, without a reply: to be done again under the same number.
        next_iteration: The first that was never begun.
    """

    programs: tuple[Pending, ...] = ()
    proposals: tuple[OpenProposal, ...] = ()
    iterations: tuple[int, ...] = ()
    next_iteration: int = 0


def restore(journal: Journal, history: History, evaluator: str) -> Unfinished:
    """Rebuild archive, counters and history from the store, and take over what was in flight.

    Args:
        journal: Of the run, empty as yet.
        history: Likewise.
        evaluator: Version of the evaluator.
    """
    store, run_id = journal.store, journal.run_id
    recovery = store.recover(run_id)  # first, since a lost call costs what was reserved for it
    journal.population.restore(store.archive_events(run_id))
    _restore_counters(journal.counters, store, run_id)
    for ended in store.ended(run_id, evaluator):
        journal.learn(ended)
    programs = list(map(store.program, recovery.pending))
    for found in programs:
        history.begun(found.entry.operator, found.entry.parents)
    for begun in recovery.replies:
        history.begun(begun.operator, begun.parents)
    pending = [
        Pending(found.entry.id, found.program, found.entry.operator, found.entry.iteration)
        for found in programs
        if found.entry.iteration is not None  # the seed and the baselines are added anew
    ]
    again = tuple(proposal.iteration for proposal in recovery.unanswered)
    return Unfinished(tuple(pending), recovery.replies, again, recovery.next_iteration)


def _restore_counters(counters: Counters, store: Store, run_id: int) -> None:
    totals = store.totals(run_id)
    points = store.progress(run_id)
    judged = {k: n for k, n in totals.evaluations.items() if k is not Outcome.INFRASTRUCTURE}
    counters.evaluations = counters.earlier_evaluations = sum(judged.values())
    counters.earlier_s = totals.elapsed_s
    counters.calls = sum(totals.completions.values())
    counters.unpriced_calls = totals.unpriced_calls
    counters.cost_usd = totals.cost_usd
    counters.failures.update(totals.rejected)
    counters.failures.update({kind: n for kind, n in judged.items() if kind is not Outcome.OK})
    if totals.duplicates:
        counters.failures["duplicate"] = totals.duplicates
    if points:
        counters.best = points[-1].best
        last_better = next(p.evaluations for p in points if p.best == points[-1].best)
        counters.since_improvement = counters.evaluations - last_better


def provenance(parts: Parts) -> dict[str, str]:
    """Return the versions a run was made with."""
    packages = ("evolve-engine", "numpy", "openai", "anthropic", "sqlalchemy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in packages},
        "sandbox": parts.sandbox.name,
        **parts.sandbox.provenance(),
    }
