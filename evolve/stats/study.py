"""A study judged: several ways (*arms*) with several seeds each, on one problem or on many.

What is judged is plain data, see `Trial`; where it comes from does not matter. The same code
writes the verdict of `evolve compare` and is held to its nominal error rate by an A/A test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import median

from evolve.core.measures import Objective
from evolve.stats.courses import Course, profile, profile_score
from evolve.stats.describe import Summary, share_interval, summarize
from evolve.stats.many import Ranking, ranking
from evolve.stats.paired import Paired, compare_pairs, detectable, holm
from evolve.stats.words import pair_sentence, verdict

#: Shares of the budget at which it is told how many seeds have reached the target.
MARKS = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a study.

    Attributes:
        task: What was to be solved.
        arm: How it was searched.
        seed: Trials of equal seeds are pairs.
        course: Its best so far against the budget spent.
        held_out: What its reported program came to on cases that the search never saw.
    """

    task: str
    arm: str
    seed: int
    course: Course
    held_out: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How trials are judged.

    Attributes:
        budget: Up to where every course is followed.
        by: The value a trial ends with: its best on the cases of the search, or on held-out ones.
        level: Chance of any false claim in the whole study that is put up with, 0 to 1.
        against: The only arm that the others are compared with; empty: each with each.
        targets: By task, the objective that counts as solved; others get the median of all finals.
    """

    budget: float
    by: str = "search"
    level: float = 0.05
    against: str = ""
    targets: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Solved:
    """How many of a sample had reached the target after a part of the budget, with the interval."""

    budget: float
    hits: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What one arm came to on one task: final values, mean of the best so far, target reached."""

    arm: str
    final: Summary
    area: Summary
    solved: tuple[Solved, ...]


@dataclass(frozen=True, slots=True)
class PairReport:
    """Two arms on one task; differences are turned so that larger is better for the first.

    Attributes:
        adjusted: The p-value after Holm's correction over the whole study.
        detectable: The difference that the study would have shown in four cases of five, or None.
        shown: Whether there is a difference at the level of the study.
        sentence: All this in words.
    """

    task: str
    first: str
    second: str
    paired: Paired
    adjusted: float
    detectable: float | None
    shown: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task: the seeds that all arms have, the target, and every arm, the best first."""

    task: str
    objective: Objective
    seeds: tuple[int, ...]
    target: float
    arms: tuple[ArmReport, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A judged study.

    Attributes:
        verdict: What is shown and what is not, one sentence each.
        ranks: Mean ranks of `arms` over the tasks; None for fewer than two tasks or three arms.
        ratios: By arm, its cost to the target over the least, in every task and seed, sorted.
        scores: By arm, the area under its performance profile, 0 to 1.
        incomplete: Trials that were left out since another arm lacks their seed.
    """

    rules: Rules
    arms: tuple[str, ...]
    tasks: tuple[TaskReport, ...]
    pairs: tuple[PairReport, ...]
    verdict: tuple[str, ...]
    ranks: Ranking | None
    ratios: Mapping[str, Sequence[float]]
    scores: Mapping[str, float]
    incomplete: int


@dataclass(frozen=True, slots=True)
class _Task:
    """The trials of one task that can be paired."""

    name: str
    objective: Objective
    seeds: tuple[int, ...]
    trials: Mapping[str, Sequence[Trial]]  # by arm, in the order of the seeds


def judge(trials: Sequence[Trial], objectives: Mapping[str, Objective], rules: Rules) -> Report:
    """Judge a study.

    Args:
        trials: All of them; those whose seed another arm lacks are left out.
        objectives: By task.
        rules: How.

    Raises:
        ValueError: there is nothing to compare, or no arm is called as ``rules.against``.
    """
    arms = tuple(dict.fromkeys(trial.arm for trial in trials))
    if len(arms) < 2 or (rules.against and rules.against not in arms):
        raise ValueError(f"nothing to compare: arms {', '.join(arms) or 'none'}")
    tasks = [_pairable(task, objectives[task], arms, trials) for task in objectives]
    tasks = [task for task in tasks if task.seeds]
    if not tasks:
        raise ValueError(f"nothing to compare: no seed is finished for all of {', '.join(arms)}")
    reports = [_task_report(task, rules) for task in tasks]
    pairs = _pairs(tasks, arms, rules)
    costs = _costs(tasks, reports, rules.budget)
    ratios = profile(costs)
    used = sum(len(task.seeds) * len(arms) for task in tasks)
    return Report(
        rules=rules,
        arms=arms,
        tasks=tuple(reports),
        pairs=pairs,
        verdict=verdict(pairs, rules.level),
        ranks=_ranks(reports, arms, rules.level),
        ratios=ratios,
        scores={arm: profile_score(found) for arm, found in ratios.items()},
        incomplete=len(trials) - used,
    )


def _pairable(
    name: str, objective: Objective, arms: Sequence[str], trials: Sequence[Trial]
) -> _Task:
    """Keep the trials of a task whose seed every arm has, in the order of their seeds."""
    mine = [trial for trial in trials if trial.task == name]
    often = Counter(trial.seed for trial in mine)
    seeds = tuple(sorted(seed for seed, count in often.items() if count == len(arms)))
    found = {(trial.arm, trial.seed): trial for trial in mine}
    return _Task(name, objective, seeds, {a: [found[a, seed] for seed in seeds] for a in arms})


def _finals(task: _Task, arm: str, rules: Rules) -> list[float]:
    """Return what the trials of an arm ended with.

    Raises:
        ValueError: held-out values are wanted and missing.
    """
    if rules.by == "search":
        return [trial.course.value(rules.budget) for trial in task.trials[arm]]
    values = [trial.held_out for trial in task.trials[arm]]
    if any(value is None for value in values):
        raise ValueError(
            f"{task.name}, {arm}: a run has no score on held-out cases; judge by search"
        )
    return [value for value in values if value is not None]


def _task_report(task: _Task, rules: Rules) -> TaskReport:
    minimize = task.objective.direction == "minimize"
    at_budget = [t.course.value(rules.budget) for each in task.trials.values() for t in each]
    target = rules.targets.get(task.name, median(at_budget))
    arms = []
    for arm, trials in task.trials.items():
        reached = [trial.course.reached(target, minimize=minimize) for trial in trials]
        solved = []
        for mark in MARKS:
            budget = mark * rules.budget
            hits = sum(cost <= budget for cost in reached)
            solved.append(Solved(budget, hits, len(reached), *share_interval(hits, len(reached))))
        area = summarize([trial.course.area(rules.budget) for trial in trials])
        arms.append(ArmReport(arm, summarize(_finals(task, arm, rules)), area, tuple(solved)))
    arms.sort(key=lambda each: -task.objective.fitness(each.final.median))
    return TaskReport(task.name, task.objective, task.seeds, target, tuple(arms))


def _pairs(tasks: Sequence[_Task], arms: Sequence[str], rules: Rules) -> tuple[PairReport, ...]:
    """Compare arms on every task; all tests of the study are corrected together."""
    others = [arm for arm in arms if arm != rules.against]
    couples = [(a, rules.against) for a in others] if rules.against else list(combinations(arms, 2))
    found: list[PairReport] = []
    for task in tasks:
        fitness = {
            arm: [task.objective.fitness(value) for value in _finals(task, arm, rules)]
            for arm in arms
        }
        for first, second in couples:
            pair = compare_pairs(fitness[first], fitness[second])
            spread = [a - b for a, b in zip(fitness[first], fitness[second], strict=True)]
            least = detectable(spread, rules.level, len(couples) * len(tasks))
            found.append(PairReport(task.name, first, second, pair, 1.0, least, False, ""))
    return tuple(
        _worded(pair, adjusted, rules.level, len(found))
        for pair, adjusted in zip(found, holm([each.paired.p for each in found]), strict=True)
    )


def _worded(pair: PairReport, adjusted: float, level: float, tests: int) -> PairReport:
    pair = replace(pair, adjusted=adjusted, shown=adjusted <= level)
    return replace(pair, sentence=pair_sentence(pair, level, tests))


def _costs(
    tasks: Sequence[_Task], reports: Sequence[TaskReport], budget: float
) -> list[dict[str, float]]:
    """Return, for every task and seed, what each arm spent until it reached the target.

    It is infinite where the target was not reached within the budget: what was under way when that
    was spent does not count, as it does not for the final values.
    """

    def cost(trial: Trial, report: TaskReport) -> float:
        minimize = report.objective.direction == "minimize"
        spent = trial.course.reached(report.target, minimize=minimize)
        return spent if spent <= budget else math.inf

    return [
        {arm: cost(trials[number], report) for arm, trials in task.trials.items()}
        for task, report in zip(tasks, reports, strict=True)
        for number in range(len(task.seeds))
    ]


def _ranks(reports: Sequence[TaskReport], arms: Sequence[str], level: float) -> Ranking | None:
    if len(reports) < 2 or len(arms) < 3:
        return None
    medians = [{each.arm: each.final.median for each in report.arms} for report in reports]
    scores = [
        [report.objective.fitness(of[arm]) for arm in arms]
        for report, of in zip(reports, medians, strict=True)
    ]
    return ranking(scores, level)
