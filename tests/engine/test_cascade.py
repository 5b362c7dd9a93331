"""A cascade in real runs: what is below a threshold on the first cases is not run on the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.core.errors import ConfigError, SeedProgramInvalid
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.replay import replay
from evolve.store.reader import Reader, open_reader
from evolve.store.store import open_store
from tests.command import evolve_here
from tests.engine.counted import calls, search
from tests.fakes import PROBLEM, write_problem

CASES = 4
CASCADE = "cascade: [{cases: 1, no_worse_than: 1.5}, {cases: 3, no_worse_than: 2}]"


def judged(reader: Reader) -> dict[int, list[Evaluation]]:
    """Return the evaluations of each program, that on the search cases first."""
    return {
        entry.id: sorted(
            reader.program(entry.id).evaluations, key=lambda each: each.stage != "search"
        )
        for entry in reader.programs(1)
    }


def test_fewer_cases_are_run_and_the_course_does_not_depend_on_slots(tmp_path: Path) -> None:
    kind = f"deterministic: true\n        {CASCADE}"
    search(tmp_path, kind, db="one.db", slots=1)
    asked = calls(tmp_path)
    with open_reader(str(tmp_path / "one.db")) as reader:
        one, found = judged(reader), reader.behaviours(1)
        digest, record = reader.archive_digest(1), reader.run(1)
        failures = {each.kind: each for each in reader.failures(1)}
        kept = {each.program_id for each in reader.elites(1)}
        with open_store(str(tmp_path / "again.db")) as scratch:
            report = replay(reader, record, scratch)
    assert report.same, report.differences

    every = [each for evaluations in one.values() for each in evaluations]
    early = [each for each in every if each.outcome is Outcome.BELOW_THRESHOLD]
    assert {len(each.cases) for each in early} == {1, 3}
    for each in early:
        mean = sum(case.score.objective for case in each.cases if case.score) / len(each.cases)
        limit = {1: "1.5", 3: "2"}[len(each.cases)]
        assert mean > float(limit)
        assert each.message.startswith(
            f"error {mean:.10g} after {len(each.cases)} of 4 cases, must be at most {limit}\n"
            f"x=0: off by {each.cases[0].score.objective:g}"  # type: ignore[union-attr] # scored
        )
        assert each.score is None
    for each in every:
        if each.outcome is Outcome.OK and each.stage == "search":
            scores = [case.score.objective for case in each.cases if case.score]
            assert scores[0] <= 1.5
            assert sum(scores[:3]) / 3 <= 2
    # Every case that was judged has its result in the database.
    verdicts = (Outcome.OK, Outcome.INVALID)
    assert asked == sum(case.outcome in verdicts for each in every for case in each.cases)
    assert found.ended_early == len(early) == failures["below_threshold"].count
    assert found.cases_saved == sum(CASES - len(each.cases) for each in early) > 10
    ended = {n for n, them in one.items() if them[0].outcome is Outcome.BELOW_THRESHOLD}
    assert kept
    assert not kept & ended

    search(tmp_path, kind, db="many.db", slots=3)
    with open_reader(str(tmp_path / "many.db")) as reader:
        assert reader.archive_digest(1) == digest
        many = judged(reader)
    assert [[each.message for each in them] for them in many.values()] == [
        [each.message for each in them] for them in one.values()
    ]

    shown = evolve_here(tmp_path, "show", "--db", "one.db").stdout
    told = f"{len(early)} evaluations ended early, below a threshold: {found.cases_saved} cases"
    assert told in shown
    data = json.loads(evolve_here(tmp_path, "show", "--db", "one.db", "--json").stdout)[
        "behaviours"
    ]
    assert (data["ended_early"], data["cases_saved"]) == (len(early), found.cases_saved)


def test_what_ended_early_is_taken_over_by_a_later_run(tmp_path: Path) -> None:
    kind = f"deterministic: true\n        {CASCADE}"
    search(tmp_path, kind)
    asked = calls(tmp_path)
    again = search(tmp_path, kind)
    assert calls(tmp_path) == asked
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        first, later = reader.behaviours(1), reader.behaviours(again)
        assert reader.archive_digest(again) == reader.archive_digest(1)
    assert first.ended_early
    assert later.copied
    assert (later.ended_early, later.cases_saved) == (0, 0), "the saving was the first run's"


def test_a_cascade_and_probes_spare_cases_together(tmp_path: Path) -> None:
    both = f"deterministic: true\n        probes: 2\n        {CASCADE}"
    search(tmp_path, both, db="one.db", slots=1)
    search(tmp_path, both, db="many.db", slots=3)
    with (
        open_reader(str(tmp_path / "one.db")) as one,
        open_reader(str(tmp_path / "many.db")) as many,
    ):
        found = one.behaviours(1)
        assert found == many.behaviours(1)
        assert one.archive_digest(1) == many.archive_digest(1)
        for evaluation, *_ in judged(one).values():
            taken_over = evaluation.behaves_like is not None
            assert not taken_over or evaluation.outcome is Outcome.OK
            first = evaluation.cases[0].score
            early = evaluation.outcome is Outcome.BELOW_THRESHOLD
            if first is not None:
                assert (early and len(evaluation.cases) == 1) == (first.objective > 1.5)
    assert found.probed
    assert found.ended_early


def test_the_seed_program_must_meet_the_thresholds(tmp_path: Path) -> None:
    with pytest.raises(SeedProgramInvalid, match="Lower the threshold") as refused:
        search(tmp_path, "cascade: [{cases: 2, no_worse_than: 0.5}]")
    assert "error 0.75 after 2 of 4 cases, must be at most 0.5" in str(refused.value)


def test_noise_and_a_cascade_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave one of the two out"):
        search(tmp_path, CASCADE, noise={"repeats": 2})


def test_a_problem_with_a_cascade_is_checked_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.engine.check.MARGIN_S", 4.7)  # of 5 s
    problem = PROBLEM["problem.yaml"].rstrip() + f"\n        {CASCADE}\n        "
    folder = write_problem(tmp_path / "parabola", problem=problem)
    found = json.loads(evolve_here(tmp_path, "problem", "check", "./parabola", "--json").stdout)
    told = [
        (each["level"], each["about"], each["what"])
        for each in found["findings"]
        if each["about"].startswith("cascade")
    ]
    assert told == [
        ("ok", "cascade", "error 1 after 1 of 4 cases, must be at most 1.5"),
        ("ok", "cascade", "error 1.166666667 after 3 of 4 cases, must be at most 2"),
        (
            "warning",
            "cascade, baseline constant",
            "error 4 after 1 of 4 cases, must be at most 1.5",
        ),
        (
            "warning",
            "cascade, baseline constant",
            "error 2.333333333 after 3 of 4 cases, must be at most 2",
        ),
    ]
    done = evolve_here(tmp_path, "evaluate", "./parabola", folder / "constant.py")
    assert done.returncode == 1
    assert done.stdout.startswith("outcome: below_threshold\n")
    assert "error 4 after 1 of 4 cases, must be at most 1.5\nx=0: off by 4" in done.stdout
    shown = json.loads(evolve_here(tmp_path, "problem", "show", "./parabola", "--json").stdout)
    assert shown["cascade"] == [
        {"cases": 1, "no_worse_than": 1.5, "of_parent": None},
        {"cases": 3, "no_worse_than": 2.0, "of_parent": None},
    ]


BESIDE_PARENTS = "deterministic: true\n        cascade: [{cases: 2, of_parent: 0.9}]"


def first_two(evaluation: Evaluation) -> float:
    found = [case.score.objective for case in evaluation.cases[:2] if case.score is not None]
    assert len(found) == 2
    return sum(found) / 2


def test_programs_may_be_measured_by_their_parents(tmp_path: Path) -> None:
    search(tmp_path, BESIDE_PARENTS, db="one.db", slots=1)
    search(tmp_path, BESIDE_PARENTS, db="many.db", slots=3)
    with (
        open_reader(str(tmp_path / "one.db")) as one,
        open_reader(str(tmp_path / "many.db")) as many,
        open_store(str(tmp_path / "again.db")) as scratch,
    ):
        assert one.archive_digest(1) == many.archive_digest(1)
        assert one.behaviours(1) == many.behaviours(1)
        report = replay(one, one.run(1), scratch, re_evaluate=True)
        assert (report.same, report.moved) == (True, [])
        evaluations = {number: found[0] for number, found in judged(one).items()}
        early = 0
        for entry in one.programs(1):
            evaluation = evaluations[entry.id]
            if entry.operator == "seed" or entry.operator.startswith("baseline:"):
                assert evaluation.outcome is Outcome.OK, "it has no parent"
                continue
            if len(evaluation.cases) < 2 or evaluation.cases[1].score is None:
                continue
            bound = 1.1 * first_two(evaluations[entry.parents[0]])  # it is minimised
            if evaluation.outcome is Outcome.BELOW_THRESHOLD:
                early += 1
                assert first_two(evaluation) > bound
                assert f"must be at most {bound:.10g}, measured by its parent" in evaluation.message
            else:
                assert first_two(evaluation) <= bound
    assert early


@pytest.mark.parametrize(
    "both", ["{cases: 1}", "{cases: 1, no_worse_than: 1, of_parent: 1}", "{cases: 1, of_parent: 2}"]
)
def test_a_threshold_has_one_bound(tmp_path: Path, both: str) -> None:
    with pytest.raises(ConfigError, match=r"either no_worse_than or of_parent|less than or equal"):
        search(tmp_path, f"cascade: [{both}]")
