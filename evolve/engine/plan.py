"""`evolve plan`: what a run will take, found out without a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice

import anyio

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.errors import first_error
from evolve.core.evaluation import Evaluation
from evolve.engine.assemble import Parts, open_parts
from evolve.engine.assess import check_seed
from evolve.engine.forecast import Forecast, forecast
from evolve.engine.foresight import facts_of, first_requests
from evolve.engine.probe_calls import Probe, Target, ask
from evolve.store.opening import is_there
from evolve.store.reader import open_reader

#: Evaluations of the seed program that count, after one that warms the slot up.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """A forecast, with what finding out has cost.

    Attributes:
        forecast: What to expect.
        calls: Model calls that were made to find out.
        spent_usd: Their price; None where it is not known.
        run_id: The run of kind ``probe`` that holds them; None without any.
        stopped: Why fewer were made than asked for; empty where not.
    """

    forecast: Forecast
    calls: int
    spent_usd: float | None
    run_id: int | None = None
    stopped: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the plan for JSON."""
        return {**asdict(self), "forecast": self.forecast.as_dict()}


def plan(loaded: Loaded[RunConfig], db: str, calls: int = 0) -> Plan:
    """Predict what a run will take.

    Args:
        loaded: Its configuration.
        db: Database whose earlier runs tell of models and operators; it need not be there. Calls
            are committed to it.
        calls: Calls of every model to find out with; they cost what they cost, within the caps
            of the configuration.

    Raises:
        ConfigError: nothing bounds the run.
        SeedProgramInvalid: the seed program has no score.
        EvolveError: a model could not be asked.
    """
    try:
        return anyio.run(partial(_plan, loaded, db, calls))
    except BaseExceptionGroup as group:
        raise first_error(group) from group


async def _plan(loaded: Loaded[RunConfig], db: str, calls: int) -> Plan:
    async with open_parts(loaded, ask_models=calls > 0) as parts:
        evaluation, (first_s, *seconds) = await _tries(parts)

        def expect(probes: Sequence[Probe] = ()) -> Forecast:
            with open_reader(db) if is_there(db) else nullcontext() as reader:
                facts = facts_of(loaded, parts, evaluation, first_s, seconds, reader, probes)
            found = forecast(facts, loaded.config.seed)
            if found is None:
                raise loaded.error("nothing bounds this run: a target may never be reached", "stop")
            return found

        found = expect()
        if not calls:
            return Plan(found, 0, 0.0)
        probed = await ask(loaded, parts, _targets(loaded, parts, evaluation, calls), db)
        found = expect(probed.probes)
        return Plan(found, probed.calls, probed.spent_usd, probed.run_id, probed.stopped)


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


def _targets(
    loaded: Loaded[RunConfig], parts: Parts, evaluation: Evaluation, calls: int
) -> Iterator[Target]:
    """Yield what to ask, so often of every model: the first request of each operator in turn."""
    asked: dict[str, list[Target]] = {}
    for operator, model, request in first_requests(loaded, parts, evaluation):
        asked.setdefault(model, []).append(Target(operator.name, model, request))
    for targets in asked.values():
        yield from islice(cycle(targets), calls)
