"""Mode search in real runs: who was given whose construction, and what came of it."""

from __future__ import annotations

import json
import sqlite3
import textwrap
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from evolve.core.errors import ConfigError, EvaluatorError, StoreError
from evolve.core.evaluation import Evaluation
from evolve.engine.events import Event, ProgramEvaluated
from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import evolve_here, write_config
from tests.engine.controllers import EACH, TOGETHER, begin

FILES = {
    "problem.yaml": """\
        title: A point near a target
        mode: search
        seed_program: seed.py
        entrypoint: climb
        evaluator: ./evaluate.py:Target
        objective: {name: distance, direction: minimize, offset: 100}
        measures:
          - {name: improvement, low: 0, high: 10, cells: 20, scale: sqrt}
          - {name: ast_nodes, low: 0, high: 60, cells: 20}
        limits: {wall_s: 5, memory_mb: 256}
        """,
    "prompt.md": "Come near.\n",
    "seed.py": """\
        def climb(target, start):
            x, y = start if start else (0.0, 0.0)
            u, v = target
            # EVOLVE-BLOCK-START
            return [x + 0.2 * (u - x), y + 0.1]
            # EVOLVE-BLOCK-END
        """,
    "evaluate.py": """\
        import numpy as np
        from evolve import Case, Evaluator, Score
        from evolve.evaluate.outputs import numbers


        class Target(Evaluator):
            def cases(self, stage):
                if stage == "search":
                    yield Case({"target": [3.0, 4.0], "start": None}, name="one")
                    yield Case({"target": [-3.0, 1.0], "start": None}, name="two")
                else:
                    yield Case({"target": [9.0, 9.0], "start": None}, name="far")

            def score(self, case, output, usage):
                point = np.round(numbers(output, count=2, low=-99, high=99), 6)
                distance = float(np.hypot(*(point - case.inputs["target"])))
                return Score(distance, construction=point)
        """,
}


def write(folder: Path, **changes: str) -> Path:
    place = folder / "near"
    place.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (place / name).write_text(textwrap.dedent(changes.get(name.partition(".")[0], text)))
    return place


def search(folder: Path, db: str, evaluations: int = 40, **changes: object) -> None:
    settings: dict[str, object] = {"order": "strict", "window": 4, "problem": "./near"}
    stop = {"evaluations": evaluations}
    run(write_config(folder, **{**settings, "stop": stop, **changes}), db=str(folder / db))


@dataclass(frozen=True)
class Given:
    """What a program was given, and what came of it."""

    iteration: int
    inserted: int
    evaluation: Evaluation


def given(reader: Reader) -> dict[int, Given]:
    """Return the programs of the search by id, in order of iterations."""
    return {
        each.program: Given(
            each.iteration, each.inserted or 0, reader.program(each.program).evaluations[0]
        )
        for each in reader.proposals(1)
        if each.program is not None
    }


def test_every_program_goes_on_from_the_best_construction_when_it_was_drawn(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, "one.db", slots=1)
    with open_reader(str(tmp_path / "one.db")) as reader:
        record, found = reader.run(1), given(reader)
        version = record.problem_hash
        seed = reader.program(1).evaluations[0]
        assert seed.score is not None
        assert (seed.start, seed.score.measures["improvement"]) == (None, 0.0)
        for program, each in found.items():
            score, start = each.evaluation.score, each.evaluation.start
            if score is None:
                continue
            earlier = {1: seed.score.objective} | {
                other: known.evaluation.score.objective
                for other, known in found.items()
                if known.evaluation.score is not None and known.iteration < each.inserted
            }
            assert start is not None
            assert earlier[start] == min(earlier.values()), program
            gained = earlier[start] - score.objective
            assert score.measures["improvement"] == score.metrics["improvement"] == gained
            assert score.metrics["start"] == earlier[start]
            began = f"It began with {earlier[start]:.12g} and came to {score.objective:.12g}"
            assert began in score.feedback
            # What it was given is what the evaluator made of that program's output.
            handed = reader.constructions.given(program, version)
            assert handed == reader.constructions.of(start, version)
            assert handed is not None
            points = json.loads(handed.constructions)
            assert list(points) == ["one", "two"]
            assert all(round(value, 6) == value for point in points.values() for value in point)
        starts = [each.evaluation.start for each in found.values()]
        assert len(set(starts)) > 3
        best = reader.leaderboard(1, limit=1)[0]
        assert best.objective is not None
        assert best.objective < seed.score.objective / 2

        with open_store(str(tmp_path / "again.db")) as scratch:
            report = replay(reader, record, scratch)
        assert report.same, report.differences
        with open_store(str(tmp_path / "anew.db")) as scratch:
            report = replay(reader, record, scratch, re_evaluate=True)
        assert report.same, report.moved
        assert report.evaluated_again > 30
        digest = reader.archive_digest(1)

    search(tmp_path, "many.db", slots=3)
    with open_reader(str(tmp_path / "many.db")) as reader:
        assert reader.archive_digest(1) == digest
        assert [each.evaluation.start for each in given(reader).values()] == starts

    evolve_here(tmp_path, "best", "--db", "one.db", "--construction", "built.json")
    built = json.loads((tmp_path / "built.json").read_text())
    with open_reader(str(tmp_path / "one.db")) as reader:
        known = reader.constructions.of(best.id, version)
        evaluation = reader.evaluation_of(best.id, "search", version)
    assert known is not None
    assert built == json.loads(known.constructions)
    assert evaluation is not None
    told = evolve_here(tmp_path, "program", str(best.id), "--db", "one.db").stdout
    assert f"began with what program {evaluation.start} built" in told


def test_a_run_that_breaks_off_goes_on_with_the_starts_it_had(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, "whole.db", 25)
    seen = 0

    def break_off(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, ProgramEvaluated)
        if seen % 9 == 8:
            seen += 1
            raise RuntimeError("the machine is gone")

    config = write_config(
        tmp_path, order="strict", window=4, problem="./near", stop={"evaluations": 25}
    )
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the machine is gone"):
            run(config, db=str(tmp_path / "broken.db"), observers=[break_off])
    run(config, db=str(tmp_path / "broken.db"))
    with (
        open_reader(str(tmp_path / "whole.db")) as whole,
        open_reader(str(tmp_path / "broken.db")) as broken,
    ):
        assert [each.evaluation.start for each in given(broken).values()] == [
            each.evaluation.start for each in given(whole).values()
        ]
        assert broken.archive_digest(1) == whole.archive_digest(1)
        assert len(broken.runs()) == 1


def test_in_arrival_order_starts_are_kept_and_followed_again(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, "arrival.db", order="arrival", slots=3)
    with open_reader(str(tmp_path / "arrival.db")) as reader:
        found = given(reader)
        assert len({each.evaluation.start for each in found.values()}) > 3
        with open_store(str(tmp_path / "again.db")) as scratch:
            report = replay(reader, reader.run(1), scratch)
        assert report.same, report.differences


@pytest.mark.postgres
def test_on_a_server_a_run_takes_the_same_course(tmp_path: Path, postgres_url: str) -> None:
    write(tmp_path)
    search(tmp_path, "file.db", 25)
    config = write_config(
        tmp_path, order="strict", window=4, problem="./near", stop={"evaluations": 25}
    )
    run(config, db=postgres_url)
    with (
        open_reader(str(tmp_path / "file.db")) as file,
        open_reader(postgres_url) as server,
        open_store(str(tmp_path / "again.db")) as scratch,
    ):
        assert server.archive_digest(1) == file.archive_digest(1)
        version = server.run(1).problem_hash
        for (program, mine), (other, theirs) in zip(
            given(server).items(), given(file).items(), strict=True
        ):
            start = mine.evaluation.start
            assert (program, start) == (other, theirs.evaluation.start)
            assert start is not None
            built = server.constructions.of(start, version)
            assert built is not None
            assert built == file.constructions.of(start, version)
        report = replay(server, server.run(1), scratch)
        assert report.same, report.differences


def test_a_start_that_is_lost_is_no_other_start(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, "evolve.db", 6)
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as connection, connection:
        connection.execute("DELETE FROM constructions")
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        version = reader.run(1).problem_hash
        assert reader.constructions.of(1, version) is None
        assert reader.constructions.given(1, version) is None, "the first program had none"
        program = next(iter(given(reader)))
        with pytest.raises(StoreError, match=f"program {program} is to begin with what program 1"):
            reader.constructions.given(program, version)


def test_held_out_cases_begin_with_the_evaluators_own_start(tmp_path: Path) -> None:
    write(tmp_path)
    search(tmp_path, "evolve.db", 10)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        best = reader.leaderboard(1, limit=1)[0]
        held_out = [
            each for each in reader.program(best.id).evaluations if each.stage == "held_out"
        ]
        (evaluation,) = held_out
        assert evaluation.start is None
        assert evaluation.score is not None
        assert evaluation.score.measures["improvement"] == 0.0


def test_an_evaluator_must_give_starts_and_take_constructions(tmp_path: Path) -> None:
    without_start = FILES["evaluate.py"].replace(', "start": None', "")
    write(tmp_path, evaluate=without_start)
    with pytest.raises(EvaluatorError, match="no input 'start'"):
        search(tmp_path, "evolve.db")
    write(tmp_path, evaluate=FILES["evaluate.py"].replace(", construction=point", ""))
    with pytest.raises(EvaluatorError, match="has no construction for later programs"):
        search(tmp_path, "evolve.db")
    write(tmp_path, evaluate=FILES["evaluate.py"].replace("=point", "=[float('nan')]"))
    with pytest.raises(EvaluatorError, match="the construction cannot be kept"):
        search(tmp_path, "evolve.db")
    write(tmp_path, evaluate=FILES["evaluate.py"].replace("=point", "='x' * 1_000_001"))
    with pytest.raises(EvaluatorError, match="1000003 characters"):
        search(tmp_path, "evolve.db")


@pytest.mark.parametrize("line", ["deterministic: true", "noise: {}"])
def test_scores_that_depend_on_the_start_are_neither_fixed_nor_samples(
    tmp_path: Path, line: str
) -> None:
    write(tmp_path, problem=FILES["problem.yaml"].replace("mode:", f"{line}\n        mode:"))
    with pytest.raises(ConfigError, match="depends on what the program began with"):
        search(tmp_path, "evolve.db")


def test_a_configuration_may_not_declare_noise_either(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match="begin with different constructions"):
        search(tmp_path, "evolve.db", noise={})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_controllers_go_on_from_each_others_constructions(tmp_path: Path) -> None:
    evaluator = textwrap.dedent(FILES["evaluate.py"]) + "Parabola = Target\n" + TOGETHER
    place, db = write(tmp_path, evaluate=evaluator), str(tmp_path / "evolve.db")
    config = write_config(tmp_path, problem="./near", slots=2, stop={"evaluations": 80})
    for each in begin(place, config, 2, db):
        each.end()
    with open_reader(db) as reader, open_store(str(tmp_path / "again.db")) as scratch:
        assert min(each.evaluations for each in reader.controllers(1)) >= EACH
        assert len(given(reader)) == 79
        report = replay(reader, reader.run(1), scratch)
        assert report.same, report.differences
    across = (
        "SELECT count(*) FROM evaluations"
        " JOIN programs AS mine ON mine.id = evaluations.program_id"
        " JOIN programs AS theirs ON theirs.id = evaluations.start"
        " JOIN proposals AS one ON one.id = mine.proposal_id"
        " JOIN proposals AS other ON other.id = theirs.proposal_id"
        " WHERE one.controller != other.controller"
    )
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute(across).fetchone()[0] > 0
