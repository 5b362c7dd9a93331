"""Evaluations that need not be made: of the same sources, by the same evaluator."""

from __future__ import annotations

import json
from pathlib import Path

from evolve.engine.run import run
from evolve.store.reader import open_reader
from tests.command import evolve_here, write_config
from tests.fakes import PROBLEM, write_problem

TIMED = "deterministic: true\n        timed: true"


def search(folder: Path, kind: str = "deterministic: true", **changes: object) -> int:
    """Run the parabola with seed 0 in the database; return its id."""
    problem = PROBLEM["problem.yaml"].rstrip() + f"\n        {kind}\n        "
    first = "                if not isinstance"
    count = f"                open(__file__ + '.calls', 'a').write('x')\n{first}"
    evaluate = PROBLEM["evaluate.py"].replace(first, count)
    write_problem(folder / "parabola", problem=problem, evaluate=evaluate)
    config = write_config(folder, order="strict", stop={"evaluations": 25}, **changes)
    return run(config, db=str(folder / "evolve.db"), new=True).run_id


def calls(folder: Path) -> int:
    return len((folder / "parabola/evaluate.py.calls").read_text())


def test_a_deterministic_problem_takes_evaluations_over(tmp_path: Path) -> None:
    first = search(tmp_path)
    asked = calls(tmp_path)
    second = search(tmp_path, slots=3)
    assert calls(tmp_path) == asked, "every evaluation was there already"
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert reader.archive_digest(first) == reader.archive_digest(second)
        assert reader.behaviours(first).copied == 0
        assert reader.behaviours(second).copied == 26, "the baseline too"
        assert reader.behaviours(first).distinct == reader.behaviours(second).distinct < 25
        copied = reader.program(reader.programs(second)[3].id).evaluations[0]
        assert copied.copied_from is not None
        assert copied.cases
    search(tmp_path, reuse=False)
    assert calls(tmp_path) == 2 * asked


def test_other_problems_do_not(tmp_path: Path) -> None:
    search(tmp_path, "deterministic: false")
    asked = calls(tmp_path)
    second = search(tmp_path, "deterministic: false")
    beside = 4  # cases of the seed program, which may be scored once more to see if scores vary
    assert abs(calls(tmp_path) - 2 * asked) <= beside
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert reader.behaviours(second).copied == 0


def test_timed_problems_do_not(tmp_path: Path) -> None:
    anywhere = {"pin_cpus": False}  # on a machine of one CPU, too
    search(tmp_path, TIMED, pool=anywhere)
    asked = calls(tmp_path)
    second = search(tmp_path, TIMED, pool=anywhere)
    assert calls(tmp_path) - asked >= 25 * 4, "every case; of a disturbed timing more than once"
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert reader.behaviours(second).copied == 0


def test_programs_of_one_behaviour_are_linked(tmp_path: Path) -> None:
    search(tmp_path)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        signatures = {
            entry.id: evaluation.signature
            for entry in reader.programs(1)
            for evaluation in reader.program(entry.id).evaluations
            if evaluation.stage == "search" and evaluation.score is not None
        }
        groups = [reader.behaving_like(1, signature) for signature in set(signatures.values())]
        group = max(groups, key=len)
        assert len(group) > 1
        assert {signatures[number] for number in group} == {signatures[group[0]]}
    shown = json.loads(evolve_here(tmp_path, "program", str(group[0]), "--json").stdout)
    assert shown["same_behaviour"] == list(group[1:])
