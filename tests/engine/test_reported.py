"""Where tests are generated, some wrong, the program reported is chosen by who passes which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.core.errors import ConfigError
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.view.report import comparison, reported_entry
from tests.command import write_config
from tests.fakes import write_problem

#: Doubling is wanted; of the generated tests (x, expected) the last four are wrong.
EVALUATOR = """\
    from evolve import Case, Evaluator, Score

    TESTS = [(1, 2), (2, 4), (3, 6), (4, 9), (5, 11), (6, 13), (7, 15)]


    class Generated(Evaluator):
        def cases(self, stage):
            for x, expected in TESTS if stage == "search" else [(10, 20)]:
                yield Case({"x": x}, secret=expected)

        def score(self, case, output, usage):
            return Score(float(output == case.secret))
"""
PROBLEM = """\
    title: Doubling
    seed_program: seed.py
    entrypoint: f
    evaluator: ./evaluate.py:Generated
    objective: {name: passed, direction: maximize}
    measures: [{name: ast_nodes, low: 0, high: 60, cells: 12}]
    limits: {wall_s: 5, memory_mb: 256}
    select: {rule: b4}
"""
WRONG = "2 * x + 1"
BODIES = ("x + x", "2 * x", "x * 2", WRONG, "x + x + 0 * x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose model wrote four correct programs and one that passes more tests."""
    place = tmp_path_factory.mktemp("generated")
    write_problem(place / "parabola", problem=PROBLEM, evaluate=EVALUATOR)
    block = "```python\n# EVOLVE-BLOCK-START\ndef f(x):\n    return {}\n# EVOLVE-BLOCK-END\n```\n"
    replies = [json.dumps({"text": block.format(body)}) for body in BODIES]
    (place / "replies.jsonl").write_text("\n".join(replies))
    config = write_config(
        place,
        models=[{"id": "replay/replies.jsonl"}],
        proposers=[{"kind": "rewrite"}],
        slots=1,
        proposals=1,
        stop={"evaluations": 1 + len(BODIES)},
    )
    result = run(config, db=str(place / "evolve.db"))
    assert WRONG not in result.best.program.files["seed.py"]
    return place


def test_the_rule_of_the_problem_decides_what_is_reported(folder: Path) -> None:
    with open_reader(str(folder / "evolve.db")) as reader:
        record = reader.run()
        best = reader.best(record.id)
        reported = reported_entry(reader, record)
        (row, *_) = comparison(reader, record)
        cases = reader.case_objectives(record.id)
        assert best is not None
        assert reported is not None
        sources = [reader.program(entry.id).program.files["seed.py"] for entry in (best, reported)]
        with pytest.raises(ConfigError, match="codet"):
            reported_entry(reader, record, "codex")
    assert WRONG in sources[0], "it passes four of seven tests, the correct ones three"
    assert WRONG not in sources[1]
    assert (row.name, row.program_id, row.held_out) == ("best found", reported.id, 1.0)
    total, each = cases[reported.id]
    assert total == pytest.approx(3 / 7)
    assert each == (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def test_best_takes_a_rule(folder: Path) -> None:
    for rule, correct in (("", True), ("codet", True), ("max_pass", False), ("objective", False)):
        db = str(folder / "evolve.db")
        shown = CliRunner().invoke(app, ["best", "--db", db, *(("--select", rule) if rule else ())])
        assert shown.exit_code == 0
        assert (WRONG not in shown.stdout) == correct, (rule, shown.stdout)
