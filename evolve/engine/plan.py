"""`evolve plan`: what a run will take, found out without a run."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial

import anyio

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.evaluation import Evaluation
from evolve.engine.assemble import Parts, open_parts
from evolve.engine.assess import check_seed
from evolve.engine.forecast import Forecast, forecast
from evolve.engine.foresight import Probe, facts_of, first_requests
from evolve.llm.prices import cost_usd
from evolve.store.database import is_there
from evolve.store.reader import open_reader

#: Evaluations of the seed program that count, after one that warms the slot up.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """A forecast, with what finding out has cost; None for an unknown price."""

    forecast: Forecast
    calls: int
    spent_usd: float | None

    def as_dict(self) -> dict[str, object]:
        """Return the plan for JSON."""
        return {**asdict(self), "forecast": self.forecast.as_dict()}


def plan(loaded: Loaded[RunConfig], db: str, calls: int = 0) -> Plan:
    """Predict what a run will take.

    Args:
        loaded: Its configuration.
        db: Database whose earlier runs tell of models and operators; it need not be there.
        calls: Calls of every model to find out with; they cost what they cost.

    Raises:
        ConfigError: nothing bounds the run.
        SeedProgramInvalid: the seed program has no score.
        EvolveError: a model could not be asked.
    """
    return anyio.run(partial(_plan, loaded, db, calls))


async def _plan(loaded: Loaded[RunConfig], db: str, calls: int) -> Plan:
    async with open_parts(loaded, ask_models=calls > 0) as parts:
        evaluation, (first_s, *seconds) = await _tries(parts)
        probes = await _ask(loaded, parts, evaluation, calls)
        with open_reader(db) if is_there(db) else nullcontext() as reader:
            facts = facts_of(loaded, parts, evaluation, first_s, seconds, reader, probes)
        found = forecast(facts, loaded.config.seed)
        if found is None:
            raise loaded.error("nothing bounds this run: a target may never be reached", "stop")
        return Plan(found, len(probes), _spent(parts, probes))


async def _tries(parts: Parts) -> tuple[Evaluation, list[float]]:
    """Evaluate the seed program a few times; return the last evaluation and the seconds."""
    tried: list[tuple[Evaluation, float]] = []
    async with parts.pool.lease() as slot:
        for _ in range(1 + TRIES):
            started = anyio.current_time()
            evaluation = await parts.evaluate(slot, parts.problem.seed_program)
            tried.append((evaluation, anyio.current_time() - started))
            check_seed(evaluation, parts.problem.id)
    return tried[-1][0], [seconds for _, seconds in tried]


async def _ask(
    loaded: Loaded[RunConfig], parts: Parts, evaluation: Evaluation, calls: int
) -> list[Probe]:
    """Ask every model so many times what the run would ask it first, one after the other."""
    found: list[Probe] = []
    if not calls:
        return found
    for _, model, request in first_requests(loaded, parts, evaluation):
        known = sum(probe.model == model for probe in found)
        found += [
            Probe(model, await parts.models[model].complete(request)) for _ in range(calls - known)
        ]
    return found


def _spent(parts: Parts, probes: list[Probe]) -> float | None:
    total = 0.0
    for probe in probes:
        price = parts.prices[probe.model].price
        if price is None:
            return None
        total += cost_usd(probe.completion.tokens, price)
    return total
