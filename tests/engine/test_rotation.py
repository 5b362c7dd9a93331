"""Runs whose search cases are made anew now and then: turns, restarts and replays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.archive.base import fold
from evolve.archive.contests import Rules
from evolve.config.file import load_run_config
from evolve.config.models import RunConfig
from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError
from evolve.engine.events import CasesRotated, Event, ProgramEvaluated
from evolve.engine.forecast import Forecast
from evolve.engine.plan import plan
from evolve.engine.replay import replay
from evolve.engine.replayed import Replayed
from evolve.engine.resume import search_hash
from evolve.engine.run import Result, run
from evolve.engine.sampling import repeat_seed
from evolve.evaluate.scorer_main import case_seed
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import evolve_here
from tests.engine.controllers import EACH, TOGETHER, begin
from tests.fakes import short_run, write_problem

BOTH = pytest.mark.parametrize("order", ["arrival", "strict"])
EVERY = 6
#: A straight line is fitted at two places, which each set of cases has for itself.
MOVING = """\
from dataclasses import replace

from evolve import Case, Evaluator, Invalid, Score


class Parabola(Evaluator):
    def cases(self, stage):
        yield Case({"x": 1.0}, name="one")
        yield Case({"x": 2.0}, name="two")

    def reseed(self, case, seed):
        return replace(case, seed=seed, inputs={"x": seed % 6000 / 1000 - 3})

    def score(self, case, output, usage):
        x = case.inputs["x"]
        if not isinstance(output, (int, float)) or not abs(output) < 1e9:
            raise Invalid("no small number")
        return Score(abs(output - (x * x + 1)), {"mean": max(min(output, 20), -20)})
"""


def write(folder: Path, evaluator: str = MOVING, more: str = "") -> None:
    place = write_problem(folder / "moving", evaluate=evaluator)
    text = (place / "problem.yaml").read_text()
    text = text.replace("low: 0, high: 60, cells: 12", "low: 0, high: 60, cells: 4")
    text = text.replace("low: -20, high: 20, cells: 10", "low: -20, high: 20, cells: 2")
    (place / "problem.yaml").write_text(f"{text}rotate: {{every: {EVERY}}}\n{more}")


def config(folder: Path, **changes: object) -> dict[str, object]:
    settings = {"seed": 5, "stop": {"evaluations": 20}, **changes}
    return short_run(folder / "moving", **settings)


def search(folder: Path, name: str = "evolve.db", **changes: object) -> Result:
    return run(config(folder, **changes), db=str(folder / name))


def again(folder: Path) -> Replayed:
    place = folder / "again.db"
    place.unlink(missing_ok=True)
    with open_reader(str(folder / "evolve.db")) as reader, open_store(str(place)) as store:
        return replay(reader, reader.run(), store)


def scored_on(reader: Reader, program: int, epoch: int) -> float:
    """Return the score of a stored sample of an epoch; fail when there is none."""
    sample = reader.sample(program, "search", reader.run().problem_hash, epoch)
    assert sample is not None
    assert sample.objective is not None
    return sample.objective


@BOTH
def test_all_elites_are_compared_on_the_newest_cases(tmp_path: Path, order: str) -> None:
    write(tmp_path)
    turns: list[CasesRotated] = []
    best: list[float | None] = []

    def note(event: Event) -> None:
        if isinstance(event, CasesRotated):
            turns.append(event)
            best.append(event.best)

    result = run(config(tmp_path, order=order), db=str(tmp_path / "evolve.db"), observers=[note])
    assert len(turns) >= 3
    epoch = turns[-1].epoch
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        record = reader.run()
        elites = result.archive.elites()
        assert len(elites) > 1
        for elite in elites:
            assert -elite.fitness == scored_on(reader, elite.key, epoch)
        events = reader.archive_events(record.id)
        folded = reader.archive(record.id).spec.build(-100.0)
        fold(folded, events)
        assert folded.elites() == elites
        assert {event.samples for event in events} == {1}
        for entry in reader.programs(record.id, operator="genetic"):
            own = Rules(most=1, rotate=EVERY).first(entry.iteration)
            evaluation = reader.evaluation_of(entry.id, "search", record.problem_hash)
            assert evaluation is not None
            if evaluation.score is not None:
                assert evaluation.score.objective == scored_on(reader, entry.id, own)
                assert len(evaluation.cases) == 2, "the first sample has its cases"
    assert result.progress.best == pytest.approx(-max(elite.fitness for elite in elites))


def test_show_says_what_the_turns_took(tmp_path: Path) -> None:
    write(tmp_path)
    result = search(tmp_path, order="strict")
    shown = json.loads(evolve_here(tmp_path, "show", "--json").stdout)["case_sets"]
    assert [each["epoch"] for each in shown] == list(range(len(shown)))
    assert len(shown) >= 3
    assert shown[0]["again"] == 0
    for each in shown[1:-1]:
        assert 0 < each["again"] < each["measurements"]
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        counted = sum(each["measurements"] - each["again"] for each in shown)
        programs = [e for e in reader.programs(1) if not e.operator.startswith("baseline")]
        assert counted - len(result.comparison) + 2 == len(programs)
    assert "search cases that rotate" in evolve_here(tmp_path, "show").stdout


def test_a_forecast_counts_the_measurements_of_turns(tmp_path: Path) -> None:
    write(tmp_path)
    db = str(tmp_path / "evolve.db")

    def expected(samples: int) -> Forecast:
        (tmp_path / "plan.yaml").write_text(json.dumps(config(tmp_path, stop={"samples": samples})))
        return plan(load_run_config(tmp_path / "plan.yaml"), db).forecast

    assert "every 6 iterations all elites are measured once more" in str(expected(90).sources)
    search(tmp_path, order="strict", stop={"evaluations": 40})
    with open_reader(db) as reader:
        made = reader.samples_made(reader.run().id)
    assert made > 60, "a good part of them are elites again"
    found = expected(made)
    assert "by the last run" in str(found.sources)
    assert found.ends == {"samples": 1.0}
    assert found.evaluations.low < 40 < found.evaluations.high, made
    assert found.evaluations.high < made


def test_each_epoch_has_the_cases_of_its_own_seed(tmp_path: Path) -> None:
    evaluator = MOVING.replace("Score(abs(output - (x * x + 1)),", "Score(x,")
    write(tmp_path, evaluator)
    search(tmp_path)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        for epoch in range(3):
            seeds = [case_seed(repeat_seed(5, "search", epoch), index) for index in (0, 1)]
            places = [seed % 6000 / 1000 - 3 for seed in seeds]
            assert scored_on(reader, 1, epoch) == pytest.approx(sum(places) / 2)


@BOTH
def test_a_run_with_turns_is_replayed(tmp_path: Path, order: str) -> None:
    write(tmp_path)
    search(tmp_path, order=order)
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)


@pytest.mark.slow
def test_every_score_comes_out_again_on_the_cases_of_its_epoch(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path)
    ran = evolve_here(tmp_path, "replay", "--re-evaluate", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["moved"] == []


def test_a_strict_run_repeats_whatever_the_slots(tmp_path: Path) -> None:
    write(tmp_path)
    digests = set()
    for slots in (1, 3):
        search(tmp_path, f"{slots}.db", order="strict", slots=slots)
        with open_reader(str(tmp_path / f"{slots}.db")) as reader:
            digests.add(reader.archive_digest(1))
    assert len(digests) == 1


def test_another_interval_is_another_run(tmp_path: Path) -> None:
    write(tmp_path)
    problem = load_problem(str(tmp_path / "moving"))
    other = replace(problem, rotate=EVERY + 1)
    unsaid, said = (
        RunConfig.model_validate(config(tmp_path, **changes))
        for changes in ({}, {"rotate": {"every": 3}})
    )
    assert search_hash(unsaid, problem) != search_hash(unsaid, other)
    assert search_hash(said, problem) == search_hash(said, other), "the configuration decides"


class Killed(BaseException):
    """Not a KeyboardInterrupt, which asyncio lets out of the loop with tasks left lying about."""


@pytest.mark.parametrize("order", [pytest.param("arrival", marks=pytest.mark.slow), "strict"])
def test_a_run_that_is_killed_about_its_turns_goes_on(tmp_path: Path, order: str) -> None:
    write(tmp_path)
    whole = search(tmp_path, "whole.db", order=order)
    settings = config(tmp_path, order=order)
    for after in (EVERY - 1, 2):

        def kill(event: Event, left: list[int] = [after]) -> None:  # noqa: B006 - one for each run
            left[0] -= isinstance(event, ProgramEvaluated)
            if left[0] == 0:
                raise Killed

        with pytest.raises((Killed, BaseExceptionGroup)):
            run(settings, db=str(tmp_path / "evolve.db"), observers=[kill])
    resumed = run(settings, db=str(tmp_path / "evolve.db"))
    if order == "strict":
        assert resumed.archive.elites() == whole.archive.elites()
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)


@pytest.mark.slow
def test_controllers_turn_together(tmp_path: Path) -> None:
    """Two processes measure the elites of one run at the same turns."""
    write(tmp_path, MOVING + TOGETHER)
    (tmp_path / "run.yaml").write_text(json.dumps(config(tmp_path, stop={"evaluations": 60})))
    db = str(tmp_path / "evolve.db")
    for each in begin(tmp_path / "moving", tmp_path / "run.yaml", 2, db):
        each.end()
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        elites, version = reader.elites(1), reader.run().problem_hash
        first = elites[0].program_id
        epoch = max(e for e in range(60) if reader.sample(first, "search", version, e))
        assert epoch >= 5
        for elite in elites:
            assert -elite.fitness == scored_on(reader, elite.program_id, epoch)
        assert min(each.evaluations for each in reader.controllers(1)) >= EACH
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)


def test_an_elite_that_fails_on_new_cases_ranks_behind_all(tmp_path: Path) -> None:
    """The seed program fails on every set but the first, and is the best one there."""
    evaluator = MOVING.replace(
        'raise Invalid("no small number")',
        'raise Invalid("no small number")\n'
        "        seeds = SEEDS\n"
        "        if abs(output - 0.5 * x - 2) < 1e-9:\n"
        "            if case.seed not in seeds:\n"
        '                raise Invalid("only the first set suits it")\n'
        '            return Score(0.0, {"mean": 0.0})',
    ).replace("SEEDS", str([case_seed(repeat_seed(5, "search", 0), index) for index in (0, 1)]))
    write(tmp_path, evaluator)
    result = search(tmp_path, order="strict")
    assert result.best.id != 1
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        measured = [
            e for e in reader.archive_events(1) if (e.program_id, e.status) == (1, "measured")
        ]
    assert measured[0].fitness <= -100, "the offset of the objective, or less"
    assert again(tmp_path).same


def test_noise_and_rotation_go_together(tmp_path: Path) -> None:
    write(tmp_path, more="noise: {repeats: 2, most: 3, refresh: 4}\n")
    search(tmp_path, order="strict")
    rules = Rules(most=3, rotate=EVERY)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        version = reader.run().problem_hash
        for entry in reader.programs(1, operator="genetic"):
            if entry.objective is not None:
                first = rules.first(entry.iteration)
                samples = reader.samples(entry.id, "search", version, first)
                assert [each.repeat for each in samples[:2]] == [first, first + 1]
    assert again(tmp_path).same


def test_a_configuration_can_leave_the_cases_as_they_are(tmp_path: Path) -> None:
    write(tmp_path)
    result = search(tmp_path, rotate={"every": 0}, stop={"evaluations": 10})
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert not reader.run().noisy
        assert reader.samples(1, "search", reader.run().problem_hash) == ()
    assert result.reason == "evaluations"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"archive": {"kind": "novelty"}}, "cases that rotate, need cells that hold the best"),
        ({"rotate": {"every": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_rotate_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match=said):
        run(config(tmp_path, **changes), db=str(tmp_path / "evolve.db"))


def test_an_evaluator_that_makes_no_cases_from_seeds_cannot_rotate(tmp_path: Path) -> None:
    write(tmp_path, MOVING.replace("def reseed", "def another_name"))
    with pytest.raises(ConfigError, match=r"override reseed\(case, seed\)"):
        search(tmp_path)
