"""Begin a run in the store, or go on with one that was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TypeAlias, cast

from evolve.config.file import Loaded, config_hash
from evolve.config.models import RunConfig, StopConfig
from evolve.config.problem import Problem
from evolve.core.evaluation import Outcome
from evolve.engine.assemble import Parts
from evolve.engine.journal import Journal, Pending, Proposal
from evolve.engine.stop import Counters
from evolve.llm.base import Completion, Finish, Tokens
from evolve.propose.base import Candidate, Individual, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store.records import NewRun, OpenProposal, RunRecord
from evolve.store.store import Store

#: How an operator turns a stored reply into what it proposes.
Interpreter: TypeAlias = Callable[[Individual, Completion], Candidate | Rejected]

#: Keys that do not change which programs are found from which; see docs/design/0003.
WITHOUT_EFFECT: Mapping[str, object] = {
    "name": "",
    "slots": 1,
    "proposals": None,
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
        iterations: Begun, without a reply: to be done again under the same number.
        next_iteration: The first that was never begun.
    """

    programs: tuple[Pending, ...] = ()
    iterations: tuple[int, ...] = ()
    next_iteration: int = 0


def restore(journal: Journal, portfolio: Portfolio) -> Unfinished:
    """Rebuild archive and counters from the store, and take over what was in flight.

    A reply that was paid for and never used is used now.
    """
    store, run_id = journal.store, journal.run_id
    recovery = store.recover(run_id)  # first, since a lost call costs what was reserved for it
    journal.population.restore(store.archive_events(run_id))
    _restore_counters(journal.counters, store, run_id)
    programs = [
        Pending(found.entry.id, found.program, found.entry.operator, found.entry.iteration)
        for found in map(store.program, recovery.pending)
        if found.entry.iteration is not None  # the seed and the baselines are added anew
    ]
    for proposal in recovery.replies:
        result = _interpret(proposal, journal, portfolio)
        admitted = journal.admit(
            Proposal(proposal.id, proposal.iteration, proposal.operator), result
        )
        programs += [] if admitted is None else [admitted]
    again = tuple(proposal.iteration for proposal in recovery.unanswered)
    return Unfinished(tuple(programs), again, recovery.next_iteration)


def _interpret(
    proposal: OpenProposal, journal: Journal, portfolio: Portfolio
) -> Candidate | Rejected:
    """Turn the last stored reply of a proposal into what it proposes."""
    parent = journal.population.individual(proposal.parents[0])
    operator = portfolio.named(proposal.operator)
    interpret: Interpreter | None = getattr(operator, "interpret", None)
    reply = next(call for call in reversed(proposal.completions) if call.state == "received")
    if interpret is None:
        return Rejected("interrupted", "the process ended before the reply was used")
    completion = Completion(
        text=reply.text,
        finish=cast("Finish", reply.finish),
        tokens=Tokens(*reply.tokens),
        cost_usd=reply.cost_usd,
        model=reply.server_model,
    )
    return interpret(parent, completion)


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
