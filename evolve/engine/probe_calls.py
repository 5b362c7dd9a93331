"""Calls that `evolve plan` makes to find out, in a run of kind ``probe``.

Killed, it is gone on with, and what was answered is not asked again. See ``docs/plan.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.errors import BudgetExhausted
from evolve.engine.assemble import Parts
from evolve.engine.probing import probing
from evolve.engine.resume import create_run, search_hash
from evolve.llm.base import Completion, Request
from evolve.llm.budget import Caps
from evolve.store.store import open_store


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
    config, kept = loaded.config, loaded.config.store
    with open_store(db, synchronous=kept.synchronous, wait_s=kept.wait_s) as store:
        identity, version = search_hash(config, parts.problem), parts.evaluate.version
        record = store.unfinished_run(identity, version, kind="probe")
        if record is None:
            prices = {name: quoted.as_dict() for name, quoted in parts.prices.items()}
            record = create_run(store, loaded, parts, {"prices": prices}, kind="probe")
        stop, probes = config.stop, list[Probe]()
        caps = Caps(cost_usd=stop.cost_usd, tokens=stop.tokens, calls=stop.calls)
        async with probing(
            store, record.id, parts.models, config.models, parts.prices, caps
        ) as probe:
            left = probe.recovery
            begun = {each.iteration: each for each in (*left.replies, *left.unanswered)}
            for iteration, target in enumerate(targets, min(begun, default=left.next_iteration)):
                earlier = begun[iteration].completions if iteration in begun else ()
                complete = probe.asking(iteration, target.operator, target.model, earlier)
                try:
                    answer = await complete(target.model, target.request)
                except BudgetExhausted as error:
                    probe.stopped = str(error)
                    break
                probes.append(Probe(target.model, answer))
        counters = probe.counters
        spent = None if counters.unpriced_calls else counters.cost_usd
        return Probed(record.id, tuple(probes), counters.calls, spent, probe.stopped)
