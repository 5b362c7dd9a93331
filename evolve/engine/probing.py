"""A run of kind ``probe``: model calls made to find out, committed and paid like those of a search.

No search goes on from it, nothing is evaluated in it, and what it cost is in the tables of
spending.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from evolve.config.models import ModelConfig
from evolve.engine.recorder import completer
from evolve.engine.resume import holder
from evolve.engine.stop import Counters
from evolve.llm.base import Model
from evolve.llm.budget import Budget, Caps, Spent
from evolve.llm.ledger import Ledger
from evolve.llm.prices import Quote
from evolve.propose.base import Complete
from evolve.store.calls import CompletionRecord
from evolve.store.records import Recovery
from evolve.store.store import Store

#: Seconds between two renewals of the claim.
RENEW_S = 1.0


@dataclass(slots=True)
class Probing:
    """A claimed probe.

    Attributes:
        recovery: What an earlier session of it left, if there was one.
        stopped: Why not all was asked; empty where it was.
    """

    store: Store
    run_id: int
    ledger: Ledger
    counters: Counters
    recovery: Recovery
    stopped: str = ""

    def asking(
        self,
        iteration: int,
        operator: str,
        model: str,
        earlier: Sequence[CompletionRecord] = (),
    ) -> Complete:
        """Begin a proposal, and return the way to the models for it.

        Args:
            iteration: Its ordinal.
            operator: What its calls are listed under.
            model: Who is asked.
            earlier: Its calls of an earlier session; what was answered is not asked again.
        """
        proposal = self.store.begin_proposal(self.run_id, iteration, operator, 0, (), (), model)
        return completer(self.ledger, self.store, self.counters, proposal, earlier)


@asynccontextmanager
async def probing(
    store: Store,
    run_id: int,
    models: Mapping[str, Model],
    configs: Sequence[ModelConfig],
    prices: Mapping[str, Quote],
    caps: Caps,
) -> AsyncIterator[Probing]:
    """Write a probe inside the context; left by an error, it stays unfinished.

    Args:
        store: Where.
        run_id: A run of kind ``probe``.
        models: Open models by id.
        configs: Their configurations.
        prices: What they cost, by id.
        caps: What may be spent on it.

    Raises:
        RunLocked: another process is writing it.
    """
    store.claim(run_id, holder())
    recovery, totals = store.recover(run_id), store.totals(run_id)
    counters = Counters(
        calls=sum(totals.completions.values()),
        unpriced_calls=totals.unpriced_calls,
        cost_usd=totals.cost_usd,
        tokens=totals.tokens.input + totals.tokens.output,
    )
    spent = Spent(counters.cost_usd, counters.tokens, counters.calls)
    ledger = Ledger(models, configs, prices, Budget(caps, spent))
    probe = Probing(store, run_id, ledger, counters, recovery)
    async with _renewing(store, run_id):
        yield probe
    store.end_probes(run_id)
    store.release(run_id, "finished", probe.stopped or "asked what was to be asked")


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
