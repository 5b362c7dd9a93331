"""`evolve run` as a process: what it prints while it runs, and how it takes Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import QUICK_SANDBOX, evolve, evolve_here, start, write_config
from tests.fakes import PROBLEM, write_problem

ENDLESS = {"evaluations": 10**6}


def slow_evaluator(condition: str) -> str:
    """Return the parabola's evaluator, changed to take very long where ``condition`` holds.

    It leaves a file ``slow`` beside it when it begins to.
    """
    step = "error = abs"
    wait = f"{condition} and (open(__file__ + '.slow', 'w'), __import__('time').sleep(100))"
    return PROBLEM["evaluate.py"].replace(step, f"{wait}; {step}")


def test_piped_output_is_plain_lines(tmp_path: Path) -> None:
    ran = evolve(tmp_path, "run", write_config(tmp_path), TERM="xterm-256color")
    assert ran.returncode == 0, ran.stderr
    assert "\x1b" not in ran.stdout
    assert "\r" not in ran.stdout
    lines = ran.stdout.splitlines()
    assert lines[0] == ("starting run 1 (search): A parabola, seed 0, 2 slots, in-process sandbox")
    assert lines[1:3] == ["  search: adaptive selection", "  nothing is isolated"]
    assert lines[3].startswith("new best 2.5  seed, seed, program 1")
    assert "stopping: evaluations; finishing what is in flight" in lines
    assert "finished: evaluations" in lines
    for column in ("best found", "seed program", "constant", "held-out cases"):
        assert column in ran.stdout
    assert re.search(r"^look further: evolve show 1; evolve best 1; evolve program \d+$", lines[-1])
    assert ran.stderr == ""


def test_json_is_one_event_a_line_and_the_result_last(tmp_path: Path) -> None:
    db = tmp_path / "other.db"
    ran = evolve(tmp_path, "run", write_config(tmp_path), "--json", "--db", db)
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "RunStarted"
    assert kinds[-2:] == ["RunFinished", "Result"]
    assert kinds.count("ProgramEvaluated") == 20
    assert kinds.count("Stopping") == 1
    evaluated = [event for event in events if event["event"] == "ProgramEvaluated"]
    assert evaluated[0]["operator"] == "seed"
    assert evaluated[0]["objective"] == 2.5
    assert {event["outcome"] for event in evaluated} <= {"ok", "invalid", "exception", "bad_output"}
    result = events[-1]
    best = min(event["objective"] for event in evaluated if event["objective"] is not None)
    assert result["best"]["objective"] == best
    assert set(result["best"]["files"]) == {"seed.py"}
    rows = {row["name"]: row["stages"] for row in result["comparison"]}
    assert rows["constant"]["search"]["objective"] == 3.0
    assert rows["constant"]["held_out"]["objective"] == 16.5
    with open_reader(str(db)) as reader:
        assert reader.best(1) is not None
        assert reader.run(1).status == "finished"


def test_ctrl_c_finishes_what_is_in_flight_and_the_same_command_resumes(tmp_path: Path) -> None:
    config = write_config(tmp_path, stop=ENDLESS)
    with start(tmp_path, "run", config) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("starting run 1")
        while not child.stdout.readline().startswith("new best"):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=250)
    assert child.returncode == 130, err
    assert "stopping: interrupted; finishing what is in flight" in out
    assert "\ninterrupted\n" in out
    assert "Traceback" not in err
    with open_store(str(tmp_path / "evolve.db")) as store:
        done = sum(store.totals(1).evaluations.values())
        assert store.run(1).status == "interrupted"
        store.claim(1, "test")
        recovery = store.recover(1)
        assert (recovery.pending, recovery.replies, recovery.unanswered) == ((), (), ())
        store.release(1, "interrupted", "")
    resumed = evolve(tmp_path, "run", config, "--set", f"stop.evaluations={done + 5}", "--json")
    started, *_, result = map(json.loads, resumed.stdout.splitlines())
    assert started["resumed"] is True
    assert (result["run_id"], result["status"]) == (1, "finished")
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert sum(reader.totals(1).evaluations.values()) == done + 5


@pytest.mark.parametrize(
    "condition",
    ["output != 0.5 * case.inputs['x'] + 2", "True"],
    ids=["during the search", "during the seed program"],
)
def test_ctrl_c_twice_stops_at_once(tmp_path: Path, condition: str) -> None:
    write_problem(tmp_path / "parabola", evaluate=slow_evaluator(condition))
    config = write_config(tmp_path, stop=ENDLESS)
    with start(tmp_path, "run", config, "--json") as child:
        while not (tmp_path / "parabola/evaluate.py.slow").exists():
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert child.poll() is None, "the first one waits for what is in flight"
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=250)
    assert time.monotonic() - asked < 50, "an evaluation takes 60 s at least"
    assert child.returncode == 130, err
    assert "Traceback" not in err
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        record = reader.run(1)
        assert (record.status, record.live) == ("interrupted", False)


def test_an_evaluator_that_fails_on_the_seed_program_is_to_blame(tmp_path: Path) -> None:
    evaluate = PROBLEM["evaluate.py"].replace('{"mean": output}', "{}")
    write_problem(tmp_path / "parabola", evaluate=evaluate)
    failed = evolve(tmp_path, "run", write_config(tmp_path), "--json")
    assert failed.returncode == 1
    assert "the evaluator fails on the seed program" in failed.stderr
    assert "mean" in failed.stderr
    assert json.loads(failed.stdout.splitlines()[-1])["status"] == "failed"
    write_problem(tmp_path / "parabola")
    result = run(tmp_path / "search.yaml", db=str(tmp_path / "evolve.db"))
    assert (result.run_id, result.reason) == (2, "evaluations"), "a mended evaluator is another"


def test_a_seed_program_without_a_score_has_its_own_exit_code_and_is_tried_again(
    tmp_path: Path,
) -> None:
    flaky = f"""\
def f(x):
    import os
    if not os.path.exists({str(tmp_path / "ready")!r}):
        raise OSError('not ready')
    return x
"""
    write_problem(tmp_path / "parabola", seed=flaky)
    config = write_config(tmp_path, stop={"evaluations": 1})
    failed = evolve(tmp_path, "run", config)
    assert failed.returncode == 4
    assert "the seed program of parabola ends with exception" in failed.stderr
    assert "OSError: not ready" in failed.stderr
    assert "evolve evaluate" in failed.stderr
    (tmp_path / "ready").touch()
    result = run(config, db=str(tmp_path / "evolve.db"))
    assert (result.run_id, result.status) == (1, "finished")
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert [elite.program_id for elite in reader.elites(1)] == [result.best.id]


def test_a_timed_problem_says_where_its_slots_are(tmp_path: Path) -> None:
    first = min(os.sched_getaffinity(0))
    config = write_config(tmp_path)
    problem = tmp_path / "parabola" / "problem.yaml"
    problem.write_text(problem.read_text() + "timed: true\n")
    ran = evolve(tmp_path, "run", config, "--set", "slots=1", TMPDIR=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert f"  slot 0: CPUs {first}" in ran.stdout.splitlines()
    refused = evolve(tmp_path, "run", config, "--set", "slots=1000", TMPDIR=str(tmp_path))
    assert refused.returncode == 3
    assert "1000 slots of 1 CPUs each cannot be pinned" in refused.stderr


def test_a_problem_that_needs_a_gpu_says_so_where_there_is_none(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    problem = tmp_path / "parabola" / "problem.yaml"
    problem.write_text(problem.read_text().replace("wall_s: 5", "gpus: 1, wall_s: 5"))
    ran = evolve(tmp_path, "run", config, CUDA_VISIBLE_DEVICES="")
    assert ran.returncode == 3
    assert "limits: {gpus: 1}" in ran.stderr
    assert "Set `gpus` in problem.yaml lower" in ran.stderr or "set `gpus: 0`" in ran.stderr


def test_times_of_another_machine_are_pointed_out_on_resume(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    problem = tmp_path / "parabola" / "problem.yaml"
    problem.write_text(problem.read_text() + "timed: true\n")
    arguments = ("run", config, "--set", "slots=1", "--set", "stop.evaluations=3")
    first = evolve(tmp_path, *arguments, TMPDIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as database, database:
        [(kept,)] = database.execute("SELECT provenance FROM runs").fetchall()
        provenance = json.loads(kept) | {"cpu": "Z80", "gpus": ["Voodoo"]}
        database.execute(
            "UPDATE runs SET status = 'interrupted', provenance = ?", (json.dumps(provenance),)
        )
    again = evolve(tmp_path, *arguments[:-1], "stop.evaluations=5", TMPDIR=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert "resuming run 1" in again.stdout
    assert "note: earlier programs were timed on Z80, Voodoo, this is " in again.stdout


def test_a_problem_alone_is_searched_by_the_genetic_operator(tmp_path: Path) -> None:
    described = write_problem(tmp_path / "parabola") / "problem.yaml"
    described.write_text(described.read_text() + "record: {value: -1, source: a wild guess}\n")
    sandbox = f"--set=sandbox.kind={QUICK_SANDBOX['kind']}"
    ran = evolve(tmp_path, "run", "./parabola", sandbox, "--set=stop.evaluations=9")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"\nbest found: short of the record -1 by \S+ \(a wild guess\)\n", ran.stdout)
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        stored = reader.run(1)
        assert stored.name == "parabola"
        assert sum(reader.totals(1).evaluations.values()) == 9
    assert "kind: genetic" in evolve(tmp_path, "config", "show", "./parabola").stdout


def test_a_bundled_problem_is_named_without_its_place(tmp_path: Path) -> None:
    shown = evolve(tmp_path, "config", "show", "tsp_cpp", "--preset", "greedy").stdout
    assert "problem: tsp_cpp\n" in shown.replace('"', "")
    assert "kind: greedy" in shown
    wrong = evolve(tmp_path, "run", "autocorelation_1")
    assert wrong.returncode == 2
    assert "no file, bundled configuration or problem; did you mean 'autocorrelation_1'" in (
        wrong.stderr
    )


def test_a_run_that_can_pay_for_no_call_says_why_it_ends(tmp_path: Path) -> None:
    model = {
        "id": "openai/dear",
        "base_url": "http://127.0.0.1:9/v1",
        "price": {"input": 1, "output": 10},
        "max_tokens": 1000,
    }
    config = write_config(
        tmp_path, models=[model], proposers=[{"kind": "diff"}], stop={"cost_usd": 0.01}
    )
    ran = evolve_here(tmp_path, "run", config)
    assert ran.returncode == 0, ran.stderr
    [told] = [line for line in ran.stdout.splitlines() if line.startswith("a model was not asked")]
    assert re.search(r"may cost up to \$0\.01\d\d, which with \$0\.0000 already spent", told)
    assert "lower max_tokens" in told
