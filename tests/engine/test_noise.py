"""Runs whose scores vary: samples, races, restarts and replays, all through the configuration."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evolve.archive.base import fold
from evolve.core.errors import ConfigError, StoreError
from evolve.engine.events import Event, ProgramEvaluated
from evolve.engine.replay import replay
from evolve.engine.replayed import Replayed
from evolve.engine.rescore import rescore
from evolve.engine.run import Result, run
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import evolve, evolve_here, start
from tests.engine.controllers import MOST, TOGETHER, begin
from tests.fakes import short_run, write_problem

BOTH = pytest.mark.parametrize("order", ["arrival", "strict"])
#: Scores vary by the seed of the repeat, which all programs share, and by the program.
NOISY = """\
import hashlib
import random
from dataclasses import replace

from evolve import Case, Evaluator, Score


class Parabola(Evaluator):
    def cases(self, stage):
        yield Case({"x": 2}, name="two", secret=5)
        yield Case({"x": 3}, name="three", secret=10)

    def reseed(self, case, seed):
        shift = random.Random(seed).random()
        return replace(case, seed=seed, inputs={"x": case.inputs["x"] + shift})

    def score(self, case, output, usage):
        output = float(output)
        own = random.Random(f"{case.seed} {output}").gauss(0, 2)
        shared = random.Random(case.seed).gauss(0, 5)
        error = abs(min(output, 1e3) - case.secret)
        return Score(error + own + shared, {"mean": max(min(output, 20), -20)}, {"true": error})
"""


def write(
    folder: Path, evaluator: str = NOISY, noise: str = "{repeats: 2, most: 6, refresh: 3}"
) -> Path:
    """Write a noisy problem; return its folder."""
    place = write_problem(folder / "noisy", evaluate=evaluator)
    text = (
        (place / "problem.yaml")
        .read_text()
        .replace("ast_nodes, low: 0, high: 60, cells: 12", "ast_nodes, low: 0, high: 60, cells: 3")
    )
    (place / "problem.yaml").write_text(f"{text}noise: {noise}\n")
    return place


def config(folder: Path, **changes: object) -> dict[str, object]:
    """Return a configuration of a short run without a model."""
    settings = {"seed": 3, "stop": {"evaluations": 30}, **changes}
    return short_run(folder / "noisy", **settings)


def search(folder: Path, name: str = "evolve.db", **changes: object) -> Result:
    return run(config(folder, **changes), db=str(folder / name))


def again(folder: Path, name: str = "evolve.db") -> Replayed:
    place = folder / f"again of {name}"
    with open_reader(str(folder / name)) as reader, open_store(str(place)) as store:
        return replay(reader, reader.run(), store)


def count(folder: Path, statement: str, name: str = "evolve.db") -> int:
    with closing(sqlite3.connect(folder / name)) as connection:
        return int(connection.execute(statement).fetchone()[0])


@BOTH
def test_a_noisy_run_measures_races_and_is_the_fold_of_its_events(
    tmp_path: Path, order: str
) -> None:
    write(tmp_path)
    result = search(tmp_path, order=order)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        record = reader.run()
        events = reader.archive_events(record.id)
        measured = [event for event in events if event.status == "measured"]
        assert len(measured) > 5
        assert {event.samples for event in measured} <= set(range(3, 7))
        folded = reader.archive(record.id).spec.build(-100.0)
        fold(folded, events)
        assert folded.elites() == result.archive.elites()
        assert {e.program_id: e.fitness for e in reader.elites(record.id)} == {
            elite.key: elite.fitness for elite in folded.elites()
        }
        for entry in reader.programs(record.id, operator="genetic"):
            samples = reader.samples(entry.id, "search", record.problem_hash)
            scored = reader.evaluation_of(entry.id, "search", record.problem_hash)
            assert scored is not None
            assert 2 <= len(samples) <= 6
            values = [each.objective or 0.0 for each in samples[:2]]
            assert scored.samples == 2
            assert scored.score is not None
            assert scored.score.objective == pytest.approx(sum(values) / 2)
    assert result.progress.best == pytest.approx(
        -max(elite.fitness for elite in result.archive.elites())
    )


@BOTH
def test_a_noisy_run_is_replayed_from_its_samples(tmp_path: Path, order: str) -> None:
    write(tmp_path)
    search(tmp_path, order=order)
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)
    assert count(tmp_path, "SELECT count(*) FROM archive_events WHERE status = 'measured'") > 5
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as connection, connection:
        connection.execute("DELETE FROM samples WHERE repeat > 2")
    (tmp_path / "again of evolve.db").unlink()
    with pytest.raises(StoreError, match="wants sample"):
        again(tmp_path)


def test_strict_runs_repeat_whatever_the_slots(tmp_path: Path) -> None:
    write(tmp_path)
    digests = set()
    for slots in (1, 3):
        search(tmp_path, f"{slots}.db", order="strict", slots=slots)
        with open_reader(str(tmp_path / f"{slots}.db")) as reader:
            digests.add(reader.archive_digest(1))
    assert len(digests) == 1


@pytest.mark.parametrize("compare", ["mean", "lcb", "probability"])
def test_the_rule_is_a_matter_of_configuration(tmp_path: Path, compare: str) -> None:
    write(tmp_path, noise="{repeats: 2}")
    noise = {"repeats": 3, "most": 5, "compare": compare, "refresh": 0}
    search(tmp_path, noise=noise, stop={"evaluations": 12})
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        stored = reader.run().provenance["noise"]
    assert isinstance(stored, dict)
    assert stored["compare"] == compare
    assert stored["paired"] is True
    assert count(tmp_path, "SELECT max(repeat) FROM samples WHERE stage = 'search'") <= 4
    assert count(tmp_path, "SELECT min(samples) FROM evaluations WHERE stage = 'search'") == 3


class Killed(BaseException):
    """Not a KeyboardInterrupt, which asyncio lets out of the loop with tasks left lying about."""


class Killer:
    """Ends the run at once after so many evaluations, with whatever is under way."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, event: Event) -> None:
        self.left -= isinstance(event, ProgramEvaluated)
        if self.left == 0:
            raise Killed


@BOTH
def test_a_run_that_was_killed_measures_nothing_twice(tmp_path: Path, order: str) -> None:
    write(tmp_path)
    whole = search(tmp_path, "whole.db", order=order)
    settings = config(tmp_path, order=order)
    for after in (5, 9, 6):
        with pytest.raises((Killed, BaseExceptionGroup)):
            run(settings, db=str(tmp_path / "evolve.db"), observers=[Killer(after)])
    resumed = run(settings, db=str(tmp_path / "evolve.db"))
    if order == "strict":
        assert [(e.key, e.fitness) for e in resumed.archive.elites()] == [
            (e.key, e.fitness) for e in whole.archive.elites()
        ]
        samples = "SELECT count(*) FROM samples WHERE stage = 'search'"
        assert count(tmp_path, samples) == count(tmp_path, samples, "whole.db")
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)


@pytest.mark.slow
@pytest.mark.parametrize("rotate", [0, 7])
@pytest.mark.parametrize("order", ["arrival", "strict"])
def test_a_run_survives_kills_at_any_moment(tmp_path: Path, order: str, rotate: int) -> None:
    write(tmp_path)
    settings = config(tmp_path, order=order, rotate={"every": rotate})
    (tmp_path / "run.yaml").write_text(json.dumps(settings))
    for wait_ms in (700, 900, 1200, 1500, 2000):
        with start(tmp_path, "run", tmp_path / "run.yaml", "--json") as child:
            try:
                child.wait(wait_ms / 1000)
            except Exception:  # noqa: BLE001 - still running, as it should
                os.kill(child.pid, 9)
            child.communicate()
    assert evolve(tmp_path, "run", tmp_path / "run.yaml", "--json").returncode == 0
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        if not rotate:
            check(reader)
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)


def check(reader: Reader) -> None:
    """Check that every elite's fitness is made of samples that are there."""
    record = reader.run()
    for event in reader.archive_events(record.id):
        samples = reader.samples(event.program_id, "search", record.problem_hash)
        assert len(samples) >= event.samples


def test_the_best_is_measured_on_held_out_seeds(tmp_path: Path) -> None:
    write(tmp_path)
    result = search(tmp_path, stop={"evaluations": 8})
    best = result.comparison[0]
    assert best.stages["held_out"].samples == 6
    assert best.stages["search"].samples == 2
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        version = reader.run().problem_hash
        seen = reader.samples(best.program_id, "search", version)
        unseen = reader.samples(best.program_id, "held_out", version)
    assert not {each.objective for each in seen} & {each.objective for each in unseen}


def test_equal_repeats_have_equal_chance(tmp_path: Path) -> None:
    evaluator = NOISY.replace(
        'Score(error + own + shared, {"mean"', 'Score(float(case.seed % 1000), {"mean"'
    )
    write(tmp_path, evaluator)
    search(tmp_path, stop={"evaluations": 10})
    distinct = "SELECT count(DISTINCT objective) FROM samples WHERE stage='search' AND repeat="
    assert [count(tmp_path, f"{distinct}{repeat}") for repeat in (0, 1)] == [1, 1]
    both = "SELECT count(DISTINCT objective) FROM samples WHERE stage='search' AND repeat < 2"
    assert count(tmp_path, both) == 2
    search(tmp_path, "other.db", seed=4, stop={"evaluations": 2})
    objective = "SELECT objective FROM samples ORDER BY id LIMIT 1"
    assert count(tmp_path, objective) != count(tmp_path, objective, "other.db")


def test_a_timed_race_is_run_side_by_side(tmp_path: Path) -> None:
    evaluator = NOISY.replace("own + shared, {", "50 + usage.wall_ns / 1e9, {")
    write(tmp_path, evaluator, noise="{repeats: 1, most: 5}\ntimed: true")
    search(tmp_path, stop={"evaluations": 12}, pool={"pin_cpus": False})
    beside = "SELECT count(*) FROM samples WHERE against_id IS NOT NULL AND reference IS NOT NULL"
    assert count(tmp_path, beside) >= 2


def test_a_program_that_fails_a_repeat_has_no_score(tmp_path: Path) -> None:
    evaluator = NOISY.replace(
        "        output = float(output)\n",
        "        output = float(output)\n"
        "        if case.seed % 3 == 0 and output != 3.0:\n"
        "            raise Invalid('unlucky')\n",
    ).replace("import Case, Evaluator", "import Case, Evaluator, Invalid")
    write(tmp_path, evaluator, noise="{repeats: 4, most: 8}")
    with pytest.raises(Exception, match="unlucky"):
        search(tmp_path, stop={"evaluations": 12})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"archive": {"kind": "novelty"}}, "grid or"),
        ({"noise": {"repeats": 5, "most": 4}}, "at least repeats"),
        (
            {"archive": {"measures": [{"name": "mean", "low": 0, "high": 1, "scale": "quantile"}]}},
            "quantile",
        ),
    ],
)
def test_what_cannot_race_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match=said):
        run(config(tmp_path, **changes), db=str(tmp_path / "evolve.db"))


def test_a_deterministic_problem_has_no_noise(tmp_path: Path) -> None:
    write(tmp_path, noise="{}\ndeterministic: true")
    with pytest.raises(ConfigError, match="has no noise"):
        search(tmp_path)


def test_without_noise_there_are_no_samples(tmp_path: Path) -> None:
    write(tmp_path)
    result = search(tmp_path, noise={"repeats": 1, "most": 1}, stop={"evaluations": 5})
    assert count(tmp_path, "SELECT count(*) FROM samples") == 0
    assert result.comparison == () or all(
        each.samples == 1 for row in result.comparison for each in row.stages.values()
    )


def test_the_best_is_who_is_best_by_all_samples_and_shown_with_its_interval(tmp_path: Path) -> None:
    write(tmp_path)
    result = search(tmp_path)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        ranked = reader.leaderboard(1, limit=3)
        known = reader.estimates(1)
    best = result.archive.best
    assert best is not None
    assert ranked[0].id == best.key
    assert ranked[0].estimate == known[best.key]
    shown = evolve_here(tmp_path, "show").stdout
    assert " ± " in shown
    assert f"(n={known[best.key].n})" in shown
    assert "search, all samples" in evolve_here(tmp_path, "program", str(best.key)).stdout


def test_the_bundled_example_runs(tmp_path: Path) -> None:
    settings = ("--set", "stop.evaluations=4", "--set", "problem=lost_sales")
    root = Path(__file__).parents[2]
    done = evolve(tmp_path, "run", root / "configs/lost_sales.yaml", "--json", *settings)
    assert done.returncode == 0, done.stderr
    assert count(tmp_path, "SELECT min(samples) FROM evaluations WHERE outcome = 'ok'") >= 3
    assert count(tmp_path, "SELECT count(*) FROM samples WHERE stage = 'held_out'") >= 16


def test_a_program_sent_to_a_finished_run_is_measured_like_others(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, stop={"evaluations": 4})
    mine = tmp_path / "mine.py"
    seed = (tmp_path / "noisy" / "seed.py").read_text()
    mine.write_text(seed.replace("0.5 * x + 2.0", "x * x + 1.0"))
    done = evolve_here(tmp_path, "submit", "1", mine)
    assert done.returncode == 0, done.stderr
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        entry = reader.programs(1, newest_first=True, operator="submit")[0]
        samples = reader.samples(entry.id, "search", reader.run().problem_hash)
    assert len(samples) >= 2


def test_a_program_is_evaluated_repeatedly_to_see_how_its_score_varies(tmp_path: Path) -> None:
    place = write(tmp_path)
    seed = place / "seed.py"
    done = evolve_here(tmp_path, "evaluate", place, seed, "--repeats", "4")
    assert done.returncode == 0, done.stderr
    assert "(n=4)" in done.stdout
    assert "the score varies" in done.stdout
    data = json.loads(
        evolve_here(tmp_path, "evaluate", place, seed, "--repeats", "3", "--json").stdout
    )
    assert data["samples"] == 3
    assert data["error"] > 0
    steady = write_problem(tmp_path / "steady")
    done = evolve_here(tmp_path, "evaluate", steady, steady / "seed.py", "--repeats", "3")
    assert "the same score 3 times" in done.stdout


def test_a_forecast_reckons_with_samples(tmp_path: Path) -> None:
    write(tmp_path)
    sources = {}
    for name, noise in (("many", {"repeats": 4, "most": 8}), ("one", {"repeats": 1, "most": 1})):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(config(tmp_path, noise=noise)))
        done = evolve_here(tmp_path, "plan", tmp_path / f"{name}.yaml", "--json")
        assert done.returncode == 0, done.stderr
        sources[name] = done.stdout
    assert "every program has 4 samples, at most 8" in sources["many"]
    assert "scores vary" not in sources["one"]


def test_rescored_programs_are_known_as_well_as_they_were(tmp_path: Path) -> None:
    db = str(tmp_path / "evolve.db")
    write(tmp_path)
    search(tmp_path, stop={"evaluations": 25})
    write(tmp_path, NOISY.replace("error + own", "2 * error + own"))
    with open_store(db) as store:
        store.claim(1, "test")
        store.release(1, "interrupted", "")
        old = store.estimates(1)
        report = rescore(store, store.run(1))
        new = store.estimates(2)
        pairs = [(store.program(e.hash, 1).entry.id, e.id) for e in store.programs(2)]
        assert len(pairs) == report.programs
        assert max(old[before].n for before, _ in pairs) > 2, "races have measured some again"
        assert all(new[after].n >= old[before].n for before, after in pairs)
        again = rescore(store, store.run(1))
        assert again.new_run_id == 2
        assert store.estimates(2) == new, "nothing is measured twice"
        events = store.archive_events(2)
        assert max(event.samples for event in events) > 1
    result = search(tmp_path, stop={"evaluations": 30})
    assert result.run_id == 2
    with open_reader(db) as reader, open_store(str(tmp_path / "x.db")) as scratch:
        assert replay(reader, reader.run(2), scratch).differences == []


def test_a_run_ends_after_so_many_measurements_however_often_it_is_stopped(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    result = search(tmp_path, stop={"samples": 40})
    assert (result.status, result.reason) == ("finished", "samples")
    search(tmp_path, "twice.db", stop={"samples": 20})
    with open_store(str(tmp_path / "twice.db")) as store:
        store.claim(1, "test")
        store.release(1, "interrupted", "")
    assert search(tmp_path, "twice.db", stop={"samples": 40}).run_id == 1
    for name in ("evolve.db", "twice.db"):
        with open_reader(str(tmp_path / name)) as reader:
            made = reader.samples_made(1)
            evaluations = sum(reader.totals(1).evaluations.values())
        # What was under way is finished: six iterations of at most six samples.
        assert 40 <= made <= 40 + 36
        assert evaluations <= made / 2, "every program has two at least"


def test_samples_are_counted_only_where_scores_vary(tmp_path: Path) -> None:
    write_problem(tmp_path / "noisy")
    with pytest.raises(ConfigError, match=r"do not for all that is said: use stop\.evaluations"):
        search(tmp_path, stop={"samples": 40})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_controllers_race_for_the_same_cells(tmp_path: Path) -> None:
    waiting = TOGETHER.replace(f"> {MOST}", "> 10**6")  # a program has many samples
    place = write(tmp_path, NOISY.replace('name="two"', 'name="one"') + waiting)
    path, db = tmp_path / "shared.json", str(tmp_path / "evolve.db")
    path.write_text(json.dumps(config(tmp_path, stop={"evaluations": 60})))
    for each in begin(place, path, 2, db):
        each.end()
    report = again(tmp_path)
    assert (report.differences, report.same) == ([], True)
    with open_reader(db) as reader:
        assert sum(each.evaluations for each in reader.controllers(1)) == 60
        events = reader.archive_events(1)
        assert sum(event.status == "measured" for event in events) > 5
        folded = reader.archive(1).spec.build(-100.0)
        fold(folded, events)
        assert {each.program_id: each.fitness for each in reader.elites(1)} == {
            each.key: each.fitness for each in folded.elites()
        }
    twice = "SELECT count(*) - count(DISTINCT program_id || stage || repeat) FROM samples"
    assert count(tmp_path, twice) == 0
