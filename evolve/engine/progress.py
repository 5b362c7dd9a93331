"""The state of a run at one moment, as displays show it."""

from __future__ import annotations

from evolve.config.models import RunConfig
from evolve.engine.events import Progress
from evolve.engine.population import Population
from evolve.engine.stop import Counters, used_fraction
from evolve.pool.base import Pool


def progress_of(
    config: RunConfig,
    counters: Counters,
    population: Population,
    pool: Pool,
    utilisation: tuple[float, ...],
) -> Progress:
    """Return where a run is.

    Args:
        config: Its configuration.
        counters: What it has come to.
        population: Its archives.
        pool: Where programs run.
        utilisation: Shares of the time that slots were lent.
    """
    stats, objective = population.archive.stats(), population.objective
    return Progress(
        evaluations=counters.evaluations,
        session_evaluations=counters.evaluations - counters.earlier_evaluations,
        elapsed_s=counters.elapsed_s,
        session_s=counters.session_s,
        best=counters.best,
        mean=None if stats.mean is None else objective.fitness(stats.mean),
        coverage=stats.coverage,
        qd_score=stats.qd_score,
        elites=stats.num_elites,
        islands=len(population.islands.live),
        slots=pool.size,
        slots_busy=pool.busy,
        slots_waiting=config.slots - pool.size,
        utilisation=utilisation,
        failures=dict(counters.failures),
        calls=counters.calls,
        cost_usd=counters.cost_usd,
        unpriced_calls=counters.unpriced_calls,
        fraction=used_fraction(config.stop, counters),
    )
