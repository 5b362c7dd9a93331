"""A study as judged from its stored runs alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from evolve.config.models import RunConfig
from evolve.core.errors import ConfigError, StoreError
from evolve.core.measures import Objective
from evolve.engine.study import Budget, budget_of
from evolve.stats.courses import Course
from evolve.stats.study import Report, Rules, Trial, judge
from evolve.store.reader import Reader
from evolve.store.records import RunRecord
from evolve.view.report import comparison


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a study.

    Attributes:
        by: Judge by ``search`` or ``held_out`` cases.
        level: Chance of any false claim that is put up with, 0 to 1.
        against: The only arm that the others are compared with; empty: each with each.
        target: The objective that counts as solved; None: the median of what runs came to.
        names: Only runs so called; empty: all runs of the database that belong to a study.
    """

    by: str = "search"
    level: float = 0.05
    against: str = ""
    target: float | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """A judged study with what it was judged from."""

    report: Report
    trials: tuple[Trial, ...]
    budget: Budget
    unfinished: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the study for JSON."""
        return {
            "budget": asdict(self.budget),
            "unfinished": list(self.unfinished),
            **asdict(self.report),
            "pairs": [
                {**asdict(pair), "cliff": pair.paired.cliff, "magnitude": pair.paired.magnitude}
                for pair in self.report.pairs
            ],
            "trials": [asdict(trial) for trial in self.trials],
        }


def read_study(reader: Reader, asked: Asked) -> Study:
    """Read the finished runs of a study and judge them.

    Raises:
        StoreError: there are none, or they had different budgets.
        ConfigError: what is asked does not fit them.
    """
    found = dict(_members(reader, asked.names))
    finished = {name: run for name, run in found.items() if run.status == "finished"}
    budgets = {
        name: budget_of(RunConfig.model_validate_json(r.config_json))
        for name, r in finished.items()
    }
    distinct = set(budgets.values())
    if len(distinct) != 1 or None in distinct:
        raise StoreError(_no_budget(distinct))
    (budget,) = distinct
    assert budget is not None
    trials = [_trial(reader, run, budget) for run in finished.values()]
    objectives = {_parts(run)[0]: run.objective for run in finished.values()}
    targets = {} if asked.target is None else dict.fromkeys(objectives, asked.target)
    rules = Rules(budget.amount, asked.by, asked.level, asked.against, targets)
    return Study(
        report=_judged(trials, objectives, rules),
        trials=tuple(trials),
        budget=budget,
        unfinished=tuple(name for name in found if name not in finished),
    )


def _no_budget(distinct: set[Budget | None]) -> str:
    if not distinct:
        return "no finished run of a study is there; `evolve compare CONFIG...` makes them"
    return "the runs had different budgets; name those that belong together by their configurations"


def _judged(trials: Sequence[Trial], objectives: Mapping[str, Objective], rules: Rules) -> Report:
    """Judge, and say of what cannot be judged what to do.

    Raises:
        ConfigError: it cannot.
    """
    try:
        return judge(trials, objectives, rules)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _members(reader: Reader, names: Sequence[str]) -> Iterator[tuple[str, RunRecord]]:
    """Yield the runs that are called as a study calls them, of several the newest last."""
    for run in reader.runs():
        if run.kind != "search":
            continue
        seed = run.name.rpartition("/")[2]
        if run.name in names or (not names and "/" in run.name and seed == str(run.seed)):
            yield run.name, run


def _parts(run: RunRecord) -> tuple[str, str]:
    """Return task and arm of a run by its name."""
    label = run.name.rpartition("/")[0]
    task, _, arm = label.rpartition("/")
    return task or run.problem, arm


def _trial(reader: Reader, run: RunRecord, budget: Budget) -> Trial:
    task, arm = _parts(run)
    at, best = zip(*reader.rises(run.id, budget.unit), strict=True)
    rows, seed = comparison(reader, run), int(run.name.rpartition("/")[2])
    return Trial(task, arm, seed, Course(at, best), rows[0].held_out if rows else None)
