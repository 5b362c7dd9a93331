"""Calls that `evolve plan` makes to find out: committed and paid like those of a search.

They have a run of their own, of kind ``probe``: no search goes on from it, nothing is evaluated in
it, and what it cost is in the tables of spending. Killed, it is gone on with, and what was answered
is not asked again. See ``docs/plan.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.errors import BudgetExhausted
from evolve.engine.assemble import Parts
from evolve.engine.recorder import completer
from evolve.engine.resume import create_run, holder, search_hash
from evolve.engine.stop import Counters
from evolve.llm.base import Completion, Request
from evolve.llm.budget import Budget, Caps, Spent
from evolve.llm.ledger import Ledger
from evolve.store.store import Store, open_store

#: Seconds between two renewals of the claim.
RENEW_S = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One answered call of a model that was made to find out."""

    model: str
    completion: Completion


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be asked once: an operator's first request."""

    operator: str
    model: str
    request: Request


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of asking.

    Attributes:
        run_id: The run that holds the calls; None where none was made.
        probes: The answered ones.
        calls: All that were made.
        spent_usd: What they cost; None where a price is not known.
        stopped: Why not all were made; empty where they were.
    """

    run_id: int | None = None
    probes: tuple[Probe, ...] = ()
    calls: int = 0
    spent_usd: float | None = 0.0
    stopped: str = ""


async def ask(
    loaded: Loaded[RunConfig], parts: Parts, targets: Iterable[Target], db: str
) -> Probed:
    """Ask models, one request after the other, within the caps of the configuration.

    Args:
        loaded: The configuration; its stop rules on money, tokens and calls hold here too.
        parts: Its open parts, models included.
        targets: What to ask.
        db: Database that the calls are committed to; it is made if need be.

    Raises:
        RunLocked: another process is asking for the same configuration.
        ModelUnavailable, InfrastructureError: a model could not be asked.
    """
    kept = loaded.config.store
    with open_store(db, synchronous=kept.synchronous, wait_s=kept.wait_s) as store:
        identity, version = search_hash(loaded.config, parts.problem), parts.evaluate.version
        record = store.unfinished_run(identity, version, kind="probe")
        if record is None:
            prices = {name: quoted.as_dict() for name, quoted in parts.prices.items()}
            record = create_run(store, loaded, parts, {"prices": prices}, kind="probe")
        store.claim(record.id, holder())
        recovery, totals = store.recover(record.id), store.totals(record.id)
        counters = Counters(
            calls=sum(totals.completions.values()),
            unpriced_calls=totals.unpriced_calls,
            cost_usd=totals.cost_usd,
            tokens=totals.tokens.input + totals.tokens.output,
        )
        ledger = _ledger(loaded.config, parts, counters)
        begun = {each.iteration: each for each in (*recovery.replies, *recovery.unanswered)}
        first = min(begun, default=recovery.next_iteration)
        probes, stopped = [], ""
        async with _renewing(store, record.id):
            for iteration, target in enumerate(targets, first):
                earlier = begun[iteration].completions if iteration in begun else ()
                proposal = store.begin_proposal(
                    record.id, iteration, target.operator, 0, (), (), target.model
                )
                complete = completer(ledger, store, counters, proposal, earlier)
                try:
                    answer = await complete(target.model, target.request)
                except BudgetExhausted as error:
                    stopped = str(error)
                    break
                probes.append(Probe(target.model, answer))
        store.end_probes(record.id)
        store.release(record.id, "finished", stopped or "asked what a search would ask first")
        spent = None if counters.unpriced_calls else counters.cost_usd
        return Probed(record.id, tuple(probes), counters.calls, spent, stopped)


def _ledger(config: RunConfig, parts: Parts, counters: Counters) -> Ledger:
    stop = config.stop
    caps = Caps(cost_usd=stop.cost_usd, tokens=stop.tokens, calls=stop.calls)
    spent = Spent(counters.cost_usd, counters.tokens, counters.calls)
    return Ledger(parts.models, config.models, parts.prices, Budget(caps, spent))


@asynccontextmanager
async def _renewing(store: Store, run_id: int) -> AsyncIterator[None]:
    """Keep the claim on a run alive: a reply may take minutes."""

    async def renew() -> None:
        while True:
            await anyio.sleep(RENEW_S)
            store.heartbeat(run_id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renew)
        yield
        tasks.cancel_scope.cancel()
