"""`evolve.run` as a library, and the comparison at a run's end."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

import evolve
from evolve.config.problem import Baseline
from evolve.core.errors import (
    ConfigError,
    EvaluatorError,
    EvolveError,
    RunFailed,
    SeedProgramInvalid,
)
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.limits import Limits
from evolve.engine.assess import Assessor, check_seed
from evolve.engine.compare import compare
from evolve.engine.events import Event, ProgramEvaluated, RunFinished, RunStarted
from evolve.engine.sampling import Judging
from evolve.pool.local import LocalPool
from tests.command import QUICK_SANDBOX
from tests.engine.laboratory import Laboratory
from tests.fakes import InProcessSandbox, numbered, write_problem


def test_a_mapping_is_a_configuration_and_observers_see_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_problem(tmp_path / "parabola")
    config: dict[str, object] = {
        "problem": "./parabola",
        "sandbox": QUICK_SANDBOX,
        "proposers": [{"kind": "genetic"}],
        "stop": {"evaluations": 5},
    }
    events: list[Event] = []
    results = []

    def search() -> None:
        results.append(evolve.run(config, db=str(tmp_path / "x.db"), observers=[events.append]))

    elsewhere = threading.Thread(target=search)  # where there are no signals
    elsewhere.start()
    elsewhere.join()
    (result,) = results
    assert (result.status, result.reason, result.progress.evaluations) == (
        "finished",
        "evaluations",
        5,
    )
    assert f"program {result.best.id}" in result._repr_html_()
    assert isinstance(events[0], RunStarted)
    assert events[-1] == RunFinished(1, "finished", "evaluations")
    evaluated = [event for event in events if isinstance(event, ProgramEvaluated)]
    assert len(evaluated) == 5
    best = [event.program_id for event in evaluated if event.is_best][-1]
    assert result.best.id == best
    assert [row.name for row in result.comparison] == ["best found", "seed program", "constant"]
    assert all(set(row.stages) == {"search", "held_out"} for row in result.comparison)


def test_a_wrong_mapping_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="unknown key 'sed'; did you mean 'seed'") as caught:
        evolve.run({"problem": "x", "sed": 1, "proposers": [{"kind": "genetic"}]})
    assert "missing key 'stop'" in str(caught.value)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.WALL_TIMEOUT, SeedProgramInvalid),
        (Outcome.INVALID, SeedProgramInvalid),
        (Outcome.EVALUATOR_ERROR, EvaluatorError),
        (Outcome.INFRASTRUCTURE, RunFailed),
    ],
)
def test_who_is_to_blame_for_a_seed_program_without_a_score(
    outcome: Outcome, error: type[EvolveError]
) -> None:
    with pytest.raises(error, match="the reason"):
        check_seed(Evaluation(outcome, message="the reason"), "parabola")


@pytest.mark.anyio
async def test_the_comparison_evaluates_each_program_once_and_leaves_the_archive_alone(
    lab: Laboratory,
) -> None:
    lab.plant()
    known, other = Baseline("as the seed", lab.problem.seed_program), Baseline("other", numbered(9))
    problem = replace(lab.problem, baselines=(known, other))
    before = lab.journal.population.archive.elites()
    async with LocalPool(InProcessSandbox(), 2, Limits()) as pool:
        assess = Assessor(pool, lab.evaluate, lab.events.append, lambda _: None)
        rows = await compare(
            problem,
            problem.seed_program,
            lab.store,
            lab.run_id,
            Judging(assess.version, assess.judge),
            ("search", "held_out"),
        )
    assert [row.name for row in rows] == ["best found", "seed program", "as the seed", "other"]
    assert {row.program_id for row in rows[:3]} == {rows[0].program_id}
    assert all(set(row.stages) == {"search", "held_out"} for row in rows)
    assert lab.evaluate.calls == {0: 1, 9: 2}, "what was evaluated already is not repeated"
    assert lab.journal.population.archive.elites() == before
    assert lab.evaluations() == 1, "baselines are no part of the search"
