"""Probe cases: what behaves like a known program on them is not run on the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.core.errors import ConfigError, EvaluatorError
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.replay import replay
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import evolve_here
from tests.engine.counted import calls, search

CASES, PROBES = 4, 2


def judged(reader: Reader) -> dict[int, tuple[int | None, int, Evaluation]]:
    """Return iteration, how many were inserted when it was drawn, and evaluation by program."""
    drawn = {each.program: each for each in reader.proposals(1)}
    found = {}
    for entry in reader.programs(1):
        if not entry.operator.startswith("baseline:"):
            proposal = drawn.get(entry.id)
            inserted = 0 if proposal is None else proposal.inserted or 0
            evaluation = reader.program(entry.id).evaluations[0]
            found[entry.id] = entry.iteration, inserted, evaluation
    return found


def test_fewer_cases_are_run_and_the_course_does_not_depend_on_slots(tmp_path: Path) -> None:
    search(tmp_path, f"deterministic: true\n        probes: {PROBES}", db="one.db", slots=1)
    asked = calls(tmp_path)
    with open_reader(str(tmp_path / "one.db")) as reader:
        one, probed = judged(reader), reader.behaviours(1).probed
        digest = reader.archive_digest(1)
        record = reader.run(1)
        with open_store(str(tmp_path / "again.db")) as scratch:
            report = replay(reader, record, scratch)
        assert report.same, report.differences
        rows = reader.programs(1)
    # Held-out and baseline cases apart, what was not run was not scored either.
    ran = sum(case.usage.wall_ns > 0 for *_, each in one.values() for case in each.cases)
    skipped = sum(case.usage.wall_ns == 0 for *_, each in one.values() for case in each.cases)
    assert probed > 2
    assert skipped == probed * (CASES - PROBES)
    assert asked < ran + skipped

    for program, (_, inserted, evaluation) in one.items():
        known = {
            other: found
            for other, (iteration, _, found) in one.items()
            if (iteration is None or iteration < inserted)
            and found.outcome is Outcome.OK
            and found.behaves_like is None
            and found.probe == evaluation.probe
        }
        if evaluation.outcome is not Outcome.OK or program == 1:
            continue
        assert evaluation.behaves_like == min(known, default=None), program
        if evaluation.behaves_like is not None:
            twin = known[evaluation.behaves_like]
            own_scores = [case.score for case in evaluation.cases]
            assert own_scores == [case.score for case in twin.cases]
            assert not evaluation.signature

    own = {entry.id: entry.measures["ast_nodes"] for entry in rows if entry.measures}
    twins = {n: e.behaves_like for n, (_, _, e) in one.items() if e.behaves_like is not None}
    assert any(own[number] != own[twin] for number, twin in twins.items())

    search(tmp_path, f"deterministic: true\n        probes: {PROBES}", db="many.db", slots=3)
    with open_reader(str(tmp_path / "many.db")) as reader:
        assert reader.archive_digest(1) == digest
        many = judged(reader)
    assert twins == {n: e.behaves_like for n, (_, _, e) in many.items() if e.behaves_like}

    shown = evolve_here(tmp_path, "show", "--db", "one.db").stdout
    assert f"{probed} evaluations ended after the probes" in shown
    shown = evolve_here(tmp_path, "show", "--db", "one.db", "--json").stdout
    assert json.loads(shown)["behaviours"]["probed"] == probed
    number, like = next(iter(twins.items()))
    told = evolve_here(tmp_path, "program", str(number), "--db", "one.db").stdout
    assert f"behaves like program {like} on the probes" in told


@pytest.mark.parametrize(
    "kind",
    [
        "probes: 1",
        "deterministic: true\n        timed: true\n        probes: 1",
        "deterministic: true\n        mode: generalise\n        formula: {weight: 0.1}\n"
        "        probes: 1",
    ],
)
def test_scores_must_follow_from_outputs(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match="deterministic: true"):
        search(tmp_path, kind)


def test_some_case_must_be_left(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="leaves none of the 4 search cases"):
        search(tmp_path, "deterministic: true\n        probes: 4")


def test_noise_and_probes_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave one of the two out"):
        search(tmp_path, "deterministic: true\n        probes: 1", noise={"repeats": 2})
