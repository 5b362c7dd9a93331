"""Operators that take another parent than selection's, inside real runs without processes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Rejected, Varies
from evolve.propose.portfolio import Portfolio
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, FakeProposer, better, number_in, numbered, scored

pytestmark = pytest.mark.anyio


@dataclass
class Special(FakeProposer):
    """Remembers its parents."""

    varies: Varies = "elite"
    series_length: int = 5
    parents: list[int] = field(default_factory=list)
    trials: list[tuple[int, ...]] = field(default_factory=list)

    async def propose(self, context: Context) -> Candidate | Rejected:
        self.parents.append(context.parent.id)
        self.trials.append(tuple(trial.id for trial in context.trials))
        return await FakeProposer.propose(self, context)


def thirds_fail(program: Program) -> Evaluation:
    number = number_in(program)
    if number % 3 == 0 and number > -1000 and number:
        return Evaluation(Outcome.EXCEPTION, message="E", evaluator=FakeEvaluate.version)
    return scored(program)


async def test_every_failure_is_repaired_once(lab: Laboratory) -> None:
    def mend(context: Context, count: int) -> Candidate | Rejected:
        assert context.parent.evaluation.outcome is Outcome.EXCEPTION
        assert context.inspirations[0].evaluation.outcome is Outcome.OK, "the one it was made from"
        return Candidate(numbered(-1000 - count), (context.parent.id,))

    lab.evaluate.judge = thirds_fail
    lab.more = [Special(name="repair", make=mend, varies="failure")]
    await lab.search(evaluations=40)
    (repair,) = lab.more
    assert isinstance(repair, Special)
    assert len(repair.parents) == len(set(repair.parents)) > 3
    for program in lab.store.programs(lab.run_id, operator="repair"):
        (parent,) = program.parents
        failed = lab.store.program(parent).entry
        assert (failed.outcome, program.generation) == (Outcome.EXCEPTION, failed.generation + 1)


async def test_a_series_varies_one_elite_and_goes_on_after_a_resume(lab: Laboratory) -> None:
    tune = Special(name="tune", varies="series")
    tune.make = lambda context, count: Candidate(numbered(-1000 - count), (context.parent.id,))
    lab.more = [tune]
    await lab.search(evaluations=12)
    begun = len(tune.parents)
    await lab.resume(evaluations=50)
    assert begun < len(tune.parents)
    runs = [tune.parents[0]]
    for parent in tune.parents[1:]:
        runs += [parent] if parent != runs[-1] else []
    assert len(runs) == len(set(runs)) > 1, "no series is begun twice"
    assert all(5 <= tune.parents.count(root) <= 5 + lab.slots + 1 for root in runs[:-1])
    for root, trials in zip(tune.parents, tune.trials, strict=True):
        assert len(trials) <= tune.parents.count(root)
        assert all(lab.store.program(trial).entry.parents == (root,) for trial in trials)


def test_an_operator_that_cannot_work_is_not_drawn() -> None:
    one, two = FakeProposer(name="one"), FakeProposer(name="two")
    portfolio = Portfolio((one, two), (1.0, 1.0))
    drawn = {
        portfolio.choose(np.random.default_rng(n), lambda each: each.name == "two").name
        for n in range(50)
    }
    assert drawn == {"two"}
    drawn = {portfolio.choose(np.random.default_rng(n), lambda _: False).name for n in range(50)}
    assert drawn == {"one", "two"}, "when none can, each says so itself"


async def test_a_candidate_that_is_not_worth_an_evaluation_ends_before_it(lab: Laboratory) -> None:
    def make(context: Context, count: int) -> Candidate | Rejected:
        if count % 2:
            return better(context, count)
        return Candidate(
            Program({"seed.py": "# EVOLVE-BLOCK-START\n(\n# EVOLVE-BLOCK-END\n"}), (1,)
        )

    lab.proposer.make = make
    await lab.search(evaluations=5)
    assert set(lab.store.totals(lab.run_id).rejected) == {"syntax"}
