"""A study: several ways to search, the same seeds and the same budget, one database.

A study is the sum of its runs. Each has a name made of what it belongs to (``arm/seed``, or
``task/arm/seed``), so that the same plan finds what is done, goes on with what was killed, and
repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evolve.config.file import Loaded
from evolve.config.models import RunConfig, StopConfig
from evolve.core.errors import ConfigError, StoreError
from evolve.engine.assemble import configured_problem
from evolve.engine.events import Observer
from evolve.engine.resume import search_hash
from evolve.engine.run import run
from evolve.evaluate.service import evaluator_version
from evolve.store.opening import shown
from evolve.store.reader import open_reader
from evolve.store.records import RunRecord
from evolve.store.spent import UNITS, Unit
from evolve.store.store import open_store


@dataclass(frozen=True, slots=True)
class Budget:
    """What every run of a study may spend: evaluations, tokens, or US dollars."""

    unit: Unit
    amount: float

    def stop(self, before: StopConfig) -> StopConfig:
        """Return stop rules with this budget as the only one, patience as it was."""
        amount = self.amount if self.unit == "cost_usd" else int(self.amount)
        patience = {"grace_s": before.grace_s, "fruitless": before.fruitless}
        return StopConfig.model_validate({self.unit: amount, **patience})


@dataclass(frozen=True, slots=True)
class Way:
    """A way to search on a task, as configured; ``label`` is how its runs are called."""

    label: str
    loaded: Loaded[RunConfig]


@dataclass(frozen=True, slots=True)
class Planned:
    """One run of a study."""

    name: str
    loaded: Loaded[RunConfig]


def budget_of(config: RunConfig) -> Budget | None:
    """Return the budget that a configuration's stop rules hold, the first of several."""
    amounts = {unit: getattr(config.stop, unit) for unit in UNITS}
    return next((Budget(unit, amount) for unit, amount in amounts.items() if amount), None)


def plan_study(
    ways: Sequence[Way], seeds: Sequence[int], budget: Budget | None = None
) -> list[Planned]:
    """Return the runs of a study, seed by seed, so that what is done early can be compared.

    Args:
        ways: What is compared.
        seeds: Of each.
        budget: Of every run; default: the one that all configurations have in common.

    Raises:
        ConfigError: two ways are called alike, or they have no budget in common.
    """
    labels = [way.label for way in ways]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"two of the compared are called '{label}'; rename one's file")
    budgets = {budget_of(way.loaded.config) for way in ways}
    common = budget or (next(iter(budgets)) if len(budgets) == 1 else None)
    if common is None:
        raise ConfigError(
            "the compared have no budget in common; say --evaluations, --tokens or --cost-usd"
        )
    return [_planned(way, seed, common) for seed in seeds for way in ways]


def _planned(way: Way, seed: int, budget: Budget) -> Planned:
    config, name = way.loaded.config, f"{way.label}/{seed}"
    changes = {"seed": seed, "name": name, "stop": budget.stop(config.stop)}
    return Planned(name, replace(way.loaded, config=config.model_copy(update=changes)))


def run_study(
    planned: Sequence[Planned],
    db: str,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = lambda _: None,
) -> bool:
    """Run what is not finished yet, one after the other.

    Args:
        planned: The study.
        db: Database: a URL, or the path of an SQLite file; it is made if need be.
        observers: Told of every run's events.
        say: Told which run begins.

    Returns:
        Whether all runs are finished; False when one was interrupted.

    Raises:
        StoreError: a run of that name is there with another configuration, budget or evaluator.
        EvolveError: a run failed; the same call goes on there.
    """
    open_store(db).close()
    for number, each in enumerate(planned, start=1):
        stored = _stored(db, each.name)
        if stored is not None:
            _check_same(stored, each.loaded, db)
            if stored.status == "finished":
                continue
        say(f"run {number} of {len(planned)}: {each.name}")
        if run(each.loaded, db=db, observers=observers).status == "interrupted":
            return False
    return True


def _stored(db: str, name: str) -> RunRecord | None:
    """Return the newest run of that name."""
    with open_reader(db) as reader:
        searches = (run for run in reversed(reader.runs()) if run.kind == "search")
        return next((run for run in searches if run.name == name), None)


def _check_same(stored: RunRecord, loaded: Loaded[RunConfig], db: str) -> None:
    """Refuse to take a run for another one of the same name.

    Raises:
        StoreError: it is another.
    """
    config, problem = loaded.config, configured_problem(loaded)
    objectives = [each.name for each in config.archive.objectives]
    then = RunConfig.model_validate_json(stored.config_json)
    differences: Mapping[str, bool] = {
        "configuration": stored.config_hash != search_hash(config, problem),
        "budget": budget_of(then) != budget_of(config),
        "evaluator": stored.problem_hash != evaluator_version(problem, objectives),
    }
    for what, differs in differences.items():
        if differs:
            raise StoreError(
                f"{shown(db)} holds a run {stored.name} with another {what}; a study of its "
                "own goes into another database: --db OTHER.db"
            )
