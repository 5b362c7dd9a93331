"""Runs with every kind of archive: what is stored rebuilds what was in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import evolve
from evolve.archive.base import Archive
from evolve.archive.islands import Plan
from evolve.archive.selection.plain import mixed
from evolve.archive.spec import ArchiveSpec
from evolve.config.archive import ArchiveConfig
from evolve.config.problem import Problem
from evolve.core.errors import ConfigError, EvaluatorError, StoreError
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.engine.archives import archive_spec
from evolve.engine.events import ArchiveSettled
from evolve.engine.population import Policy
from evolve.propose.base import Candidate, Context, Rejected
from evolve.store.store import open_store
from evolve.view.report import archive_of
from tests.command import QUICK_SANDBOX
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, FakeProposer, number_in, numbered, write_problem

NODES, MEAN = Measure("ast_nodes", 0.0, 50.0, 5), Measure("mean", 1.0, 100.0, 4, "log")
CENTROIDS = ((0.1, 0.1), (0.3, 0.8), (0.6, 0.4), (0.9, 0.9))
QUANTILES = ArchiveSpec((NODES, Measure("mean", 0.0, 100.0, 4, "quantile")), warm_up=12)
SPECS = {
    "grid": ArchiveSpec((NODES, MEAN)),
    "depth": ArchiveSpec((NODES, MEAN), depth=3),
    "front": ArchiveSpec((NODES,), depth=4, objectives=(Objective("size", "minimize"),)),
    "cvt": ArchiveSpec((NODES, MEAN), kind="cvt", centroids=CENTROIDS),
    "novelty": ArchiveSpec((NODES, MEAN), kind="novelty", threshold=0.12, neighbors=2),
    "quantile": QUANTILES,
}


def judge(program: Program) -> Evaluation:
    """Score a program by noise that its number is the seed of; some fail."""
    rng = np.random.default_rng(abs(int(number_in(program))))
    if rng.random() < 0.1:
        return Evaluation(Outcome.EXCEPTION, message="no luck", evaluator=FakeEvaluate.version)
    measures = {"ast_nodes": rng.uniform(-5, 60), "mean": float(rng.lognormal(2.5, 1.2))}
    score = Score(rng.uniform(0, 9), measures, {"size": float(rng.integers(9))})
    return Evaluation(Outcome.OK, score, evaluator=FakeEvaluate.version)


def anything(context: Context, count: int) -> Candidate | Rejected:
    return Candidate(numbered(int(context.rng.integers(1, 10**6))), (context.parent.id,))


@pytest.fixture
def laboratory(tmp_path: Path, problem: Problem) -> Callable[[ArchiveSpec], Laboratory]:
    def make(spec: ArchiveSpec, name: str = "lab", **changes: object) -> Laboratory:
        store = open_store(str(tmp_path / f"{name}.db"))
        return Laboratory(
            problem,
            store,
            FakeEvaluate(judge),
            FakeProposer(anything),
            archive=spec,
            judge_seed=judge,
            **changes,  # type: ignore[arg-type] # the test names the fields
        )

    return make


def same(a: Archive, b: Archive) -> None:
    assert a.elites() == b.elites()
    assert a.champions() == b.champions()
    assert a.clipped == b.clipped
    assert a.stats() == b.stats()
    assert a.measures == b.measures
    np.testing.assert_array_equal(a.positions(), b.positions())


@pytest.mark.anyio
@pytest.mark.parametrize("kind", SPECS)
async def test_resuming_and_reading_give_the_archive_that_was_in_memory(
    laboratory: Callable[..., Laboratory], kind: str
) -> None:
    lab = laboratory(SPECS[kind])
    await lab.search(evaluations=60)
    live = lab.journal.population.archive
    assert len(live) >= 4
    journal = lab.new_journal()
    journal.restore(FakeEvaluate.version)
    same(journal.population.archive, live)
    same(archive_of(lab.store, lab.store.run(lab.run_id)), live)
    stored = {(e.cell, e.program_id, e.fitness) for e in lab.store.elites(lab.run_id)}
    assert stored == {(e.cell, e.key, e.fitness) for e in live}
    assert stored == view_of_elites(lab)
    await lab.resume(evaluations=90)
    same(archive_of(lab.store, lab.store.run(lab.run_id)), lab.journal.population.archive)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["depth", "front", "quantile"])
async def test_islands_keep_their_archives_of_every_kind(
    laboratory: Callable[..., Laboratory], kind: str
) -> None:
    plan = Plan(count=3, migration_interval=5, migrants=2, reset_interval=8, spawn_limit=4)
    lab = laboratory(SPECS[kind], policy=Policy(mixed(), islands=plan))
    await lab.search(evaluations=50)
    before = lab.journal.population
    assert len(before.islands.live) == 3
    journal = lab.new_journal()
    journal.restore(FakeEvaluate.version)
    assert list(journal.population.islands.live) == list(before.islands.live)
    run = lab.store.run(lab.run_id)
    for number, archive in before.islands.live.items():
        same(journal.population.islands.live[number], archive)
        same(archive_of(lab.store, run, island=number), archive)
    same(journal.population.archive, before.archive)
    same(archive_of(lab.store, run), before.archive)
    assert journal.population.number == before.number == run.archive


def view_of_elites(lab: Laboratory) -> set[tuple[int, int, float]]:
    """Return what the view for people says, as (cell, program, fitness)."""
    with lab.store._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT cell, program, objective FROM elites").all()
    fitness = lab.problem.objective.fitness
    return {(row.cell, row.program, fitness(row.objective)) for row in rows}


@pytest.mark.anyio
async def test_quantile_cells_are_cut_once_from_the_first_programs(
    laboratory: Callable[..., Laboratory],
) -> None:
    lab = laboratory(QUANTILES)
    await lab.search(evaluations=60)
    before, after = lab.store.archives(lab.run_id)
    assert (before.spec, after.number) == (QUANTILES, 1)
    assert lab.store.run(lab.run_id).archive == 1
    seen = [o.measures for o in lab.store.offers(lab.run_id)]
    assert after.spec == QUANTILES.settle(seen[:12])
    assert lab.journal.population.spec == after.spec
    assert [type(e) for e in lab.events].count(ArchiveSettled) == 1
    assert all(event.archive == 1 for event in lab.store.archive_events(lab.run_id))
    whole = after.spec.build(lab.journal.population.objective.fitness(100.0))
    for offer in lab.store.offers(lab.run_id):
        fitness = lab.problem.objective.fitness(offer.objective)
        whole.add(offer.program_id, fitness, offer.measures, offer.metrics)
    assert whole.elites() == lab.journal.population.archive.elites()


@pytest.mark.anyio
async def test_killed_before_the_new_archive_is_committed_it_is_made_when_resumed(
    laboratory: Callable[..., Laboratory], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = laboratory(QUANTILES, "one", proposals=1)
    await undisturbed.search(evaluations=40)
    lab = laboratory(QUANTILES, "two", proposals=1)
    with monkeypatch.context() as broken:

        def killed(*_: object, **__: object) -> int:
            raise StoreError("killed")

        broken.setattr(lab.store, "add_archive", killed)
        with pytest.raises(StoreError, match="killed"):
            await lab.search(evaluations=40)
    assert lab.store.run(lab.run_id).archive == 0
    await lab.resume(evaluations=40)
    assert lab.store.archives(lab.run_id)[1].spec == undisturbed.store.archives(1)[1].spec
    same(archive_of(lab.store, lab.store.run(lab.run_id)), lab.journal.population.archive)


@pytest.mark.anyio
async def test_in_strict_order_the_cut_does_not_depend_on_timing(
    laboratory: Callable[..., Laboratory],
) -> None:
    digests = set()
    for slots, proposals in ((1, 1), (3, 4)):
        lab = laboratory(
            QUANTILES, f"strict{slots}", order="strict", slots=slots, proposals=proposals
        )
        await lab.search(evaluations=30)
        await lab.resume(evaluations=50)
        assert lab.store.run(lab.run_id).archive == 1
        digests.add(lab.store.archive_digest(lab.run_id))
    assert len(digests) == 1


CONFIG = {
    "problem": "./parabola",
    "sandbox": QUICK_SANDBOX,
    "proposers": [{"kind": "genetic"}],
    "stop": {"evaluations": 12},
}


def test_a_configured_archive_is_used_stored_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_problem(tmp_path / "parabola")
    objectives = [{"name": "residual", "direction": "minimize"}, {"name": "code_length"}]
    archive = {"kind": "cvt", "cells": 7, "depth": 4, "objectives": objectives}
    result = evolve.run({**CONFIG, "archive": archive}, db="x.db")
    assert result.archive.cells == 7
    assert all(len(elite.objectives) == 2 for elite in result.archive)
    with evolve.open("x.db") as reader:
        (stored,) = reader.archives(1)
        assert (stored.spec.kind, stored.spec.depth, len(stored.spec.centroids)) == ("cvt", 4, 7)
        same(archive_of(reader, reader.run()), result.archive)


def test_a_further_objective_that_no_score_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_problem(tmp_path / "parabola")
    with pytest.raises(EvaluatorError, match=r"metric 'speed' that archive.objectives names; it "):
        evolve.run({**CONFIG, "archive": {"objectives": [{"name": "speed"}]}}, db="x.db")


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        ({"kind": "cvt", "measures": "quantile"}, "scale quantile, which is for kind grid"),
        ({"objectives": [{"name": "error"}]}, "error is the objective already"),
        ({"kind": "novelty", "threshold": 1.5}, "threshold is 1.5, must be above 0"),
    ],
)
def test_archives_that_do_not_fit_the_problem_are_refused(
    problem: Problem, archive: dict[str, object], message: str
) -> None:
    measures = problem.measures
    if archive.pop("measures", None):
        measures = (*measures, Measure("m", 0.0, 1.0, 3, "quantile"))
    config = ArchiveConfig.model_validate(archive)
    with pytest.raises(ConfigError, match=message):
        archive_spec(config, problem.objective, measures, 0)
