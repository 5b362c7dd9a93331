"""Metrics that a model grades: what they cost, what they decide, and what happens without them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from evolve.cli.plan import actual_of
from evolve.config.file import load_run_config
from evolve.core.errors import ConfigError
from evolve.engine.events import Event, FaultOccurred, ProgramEvaluated
from evolve.engine.forecast import Forecast
from evolve.engine.foresight import expected_of
from evolve.engine.plan import plan
from evolve.engine.run import Result, run
from evolve.store.page_reader import open_page_reader
from evolve.store.reader import Reader, open_reader
from evolve.store.records import ProgramEntry
from tests.command import evolve_here, write_config
from tests.engine.controllers import TOGETHER, begin
from tests.engine.test_resume import check_database
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure
from tests.fakes import PROBLEM, write_problem

METRIC = "readability (model-graded)"
ASK = "How easily does a stranger understand this program? 0: not at all, 10: at a glance."


def configure(folder: Path, server: FakeLLMServer, **changes: Any) -> Path:
    """Write a configuration with a model that writes and one that grades."""
    common = {"base_url": server.openai_url, "price": {"input": 1.0, "output": 10.0}, "retries": 0}
    grade = {"name": "readability", "ask": ASK, "model": "openai/judge", "programs": "all"}
    settings: dict[str, Any] = {
        "models": [{"id": "openai/writer", **common}, {"id": "openai/judge", **common}],
        "grades": [grade],
        "proposers": [{"kind": "diff", "options": {"mends": 0}}],
        "order": "strict",
        "slots": 1,
        "proposals": 1,
        "window": 1,
        "stop": {"evaluations": 5},
        **changes,
    }
    return write_config(folder, **settings)


class Server:
    """Writes programs that count up, and grades them as it is told."""

    def __init__(self, grade: Callable[[str], Reply]) -> None:
        self.written, self.graded = 0, [""][:0]
        self._grade = grade

    def __call__(self, call: Call) -> Reply:
        if call.body["model"] == "judge":
            self.graded.append(call.prompt)
            return self._grade(call.prompt)
        self.written += 1
        (line,) = re.findall(
            r"^    return .*$", call.prompt.partition("# The program to improve")[2], re.MULTILINE
        )
        new = f"    return x * x + {self.written}"
        text = f"<<<<<<< SEARCH\n{line}\n=======\n{new}\n>>>>>>> REPLACE\n"
        return Reply(text, tokens=(1000, 20))


def seven(_: str) -> Reply:
    return Reply("Short, and the names are clear.\nGRADE: 7", tokens=(300, 15))


def programs(reader: Reader) -> list[ProgramEntry]:
    """Return the seed program and what was proposed, in order; baselines are left out."""
    found = [each for each in reader.programs(1) if not each.operator.startswith("baseline")]
    return sorted(found, key=lambda entry: entry.id)


def metrics(reader: Reader) -> list[float | None]:
    """Return the grade of every program, in the order of programs."""
    found = []
    for entry in programs(reader):
        evaluation = reader.evaluation_of(entry.id, "search", reader.run().problem_hash)
        assert evaluation is not None
        assert evaluation.score is not None
        found.append(evaluation.score.metrics.get(METRIC))
    return found


def test_programs_are_graded_and_every_call_is_accounted_for(tmp_path: Path) -> None:
    server = Server(seven)
    with FakeLLMServer(server) as listening:
        result = run(configure(tmp_path, listening), db=str(tmp_path / "evolve.db"))
    assert len(server.graded) == 4
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert metrics(reader) == [None, 7.0, 7.0, 7.0, 7.0], "nobody proposed the seed program"
        totals = reader.totals(1)
        assert totals.completions == {"received": 8}
        assert totals.tokens.input == 4 * 1000 + 4 * 300
        cost = (totals.tokens.input + 10 * totals.tokens.output) / 1e6
        assert result.progress.cost_usd == pytest.approx(cost)
        assert totals.cost_usd == pytest.approx(cost)
        (writer, judge) = sorted(reader.spending(1, "model"), key=lambda each: -each.cost_usd)
        assert (writer.group, judge.group) == ("openai/writer", "openai/judge")
        assert judge.calls == 4
        by_operator = {each.group: each.cost_usd for each in reader.spending(1, "operator")}
        assert by_operator == {
            "diff": pytest.approx(writer.cost_usd),
            "grades": pytest.approx(judge.cost_usd),
        }
        ended = list(reader.ended(1, reader.run().problem_hash))
        assert sum(each.cost_usd for each in ended) == pytest.approx(writer.cost_usd)
    shown = evolve_here(tmp_path, "program", "2").stdout
    assert f"{METRIC} 7" in shown
    ran = evolve_here(tmp_path, "replay", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["same"]


def test_the_program_is_data_to_who_grades(tmp_path: Path) -> None:
    server = Server(seven)
    with FakeLLMServer(server) as listening:
        run(configure(tmp_path, listening), db=str(tmp_path / "evolve.db"))
    prompt = server.graded[0]
    found = re.match(r"The boundary token of this message is ([0-9a-f]{16})\.\n", prompt)
    assert found
    outside = re.sub(rf"BEGIN {found[1]} .*?\nEND {found[1]}", "", prompt, flags=re.DOTALL)
    assert "return x * x" in prompt
    assert "return x * x" not in outside
    assert ASK in outside


def test_later_prompts_show_whose_opinion_it_is(tmp_path: Path) -> None:
    asked: list[str] = []

    def writes(call: Call) -> Reply:
        if call.body["model"] == "writer":
            asked.append(call.prompt)
        return server(call)

    server = Server(seven)
    with FakeLLMServer(writes) as listening:
        run(configure(tmp_path, listening), db=str(tmp_path / "evolve.db"))
    assert f"{METRIC} = 7" in asked[-1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run whose programs nobody grades."""
    folder = tmp_path_factory.mktemp("plain")
    with FakeLLMServer(Server(seven)) as listening:
        return run(configure(folder, listening, grades=[]), db=str(folder / "evolve.db"))


@pytest.mark.parametrize(
    "reply",
    [
        Reply("I would rather not say.", tokens=(300, 5)),
        Reply("GRADE: 11", tokens=(300, 5)),
        Reply("GRADE: 7 or 8", tokens=(300, 5)),
        Reply("", finish="content_filter", tokens=(300, 5)),
        Reply("GRADE: 7", finish="length", tokens=(300, 5)),
        failure(500),
        failure(400, "this is not for you"),
    ],
)
def test_without_a_grade_the_evaluation_is_what_it_was(
    tmp_path: Path, plain: Result, reply: Reply
) -> None:
    faults: list[Event] = []
    with FakeLLMServer(Server(lambda _: reply)) as listening:
        result = run(
            configure(tmp_path, listening),
            db=str(tmp_path / "evolve.db"),
            observers=[faults.append],
        )
    assert result.reason == "evaluations"
    assert result.archive.elites() == plain.archive.elites()
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        assert metrics(reader) == [None] * 5
    told = [each for each in faults if isinstance(each, FaultOccurred)]
    assert len(told) >= 4
    assert all("readability of program" in each.message for each in told[:1])


def test_only_what_became_better_is_graded_by_default(tmp_path: Path) -> None:
    server = Server(seven)
    with FakeLLMServer(server) as listening:
        grade = {"name": "readability", "ask": ASK, "model": "openai/judge"}
        run(configure(tmp_path, listening, grades=[grade]), db=str(tmp_path / "evolve.db"))
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        better = []
        for entry in programs(reader)[1:]:
            parent = reader.program(entry.parents[0]).entry
            assert entry.objective is not None
            assert parent.objective is not None
            better.append(entry.objective < parent.objective)
        assert [grade is not None for grade in metrics(reader)[1:]] == better
    assert len(server.graded) == sum(better) < 4


class Killed(BaseException):
    """Not a KeyboardInterrupt, which asyncio lets out of the loop with tasks left lying about."""


def test_a_grade_that_was_paid_for_is_not_asked_for_again(tmp_path: Path) -> None:
    """Killed between the reply and the evaluation's commit, and asked for in another run."""
    server, calls = Server(seven), 0
    db = str(tmp_path / "evolve.db")

    def kill(event: Event) -> None:
        nonlocal calls
        calls += isinstance(event, ProgramEvaluated)
        if calls == 3:
            raise Killed

    with FakeLLMServer(server) as listening:
        config = configure(tmp_path, listening, order="arrival")
        with pytest.raises((Killed, BaseExceptionGroup)):
            run(config, db=db, observers=[kill])
        run(config, db=db)
        graded, written = len(server.graded), server.written
        assert graded == len(set(server.graded)) == 4
        server.written = 0
        second = run(config, db=db, new=True)
        assert second.progress.evaluations == 5
        assert len(server.graded) == graded, "the same programs, asked about in the same words"
    assert written == 4
    with open_reader(db) as reader:
        assert reader.totals(2).completions == {"received": 4}


def test_grades_of_one_run_are_not_taken_over_by_another(tmp_path: Path) -> None:
    """Scores are, where a problem is deterministic."""
    with FakeLLMServer(Server(seven)) as listening:
        config, db = configure(tmp_path, listening), str(tmp_path / "evolve.db")
        problem = tmp_path / "parabola/problem.yaml"
        problem.write_text(problem.read_text() + "deterministic: true\n")
        run(config, db=db)
    with FakeLLMServer(Server(seven)) as listening:
        run(configure(tmp_path, listening, grades=[]), db=db)
    with open_reader(db) as reader:
        known = [each.id for each in reader.programs(2)]
        found = [reader.evaluation_of(n, "search", reader.run(2).problem_hash) for n in known]
        assert len([each for each in found if each and each.copied_from]) >= 4
        assert not [each for each in found if each and each.score and METRIC in each.score.metrics]
        assert [each.for_grade for each in calls(db, 2)] == [False, True]


def calls(db: str, program: int) -> Sequence[Any]:
    with closing(open_page_reader(db)) as reader:
        return reader.calls(program)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "openai/nobody"}, "graded by openai/nobody, and models has"),
        ({"low": 5, "high": 5}, "must be less than"),
        ({"name": "Bad Name"}, "pattern"),
    ],
)
def test_what_cannot_grade_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with FakeLLMServer([]) as listening:
        grade = {"name": "readability", "ask": ASK, **changes}
        with pytest.raises(ConfigError, match=said):
            run(configure(tmp_path, listening, grades=[grade]), db=str(tmp_path / "evolve.db"))


def test_a_grade_is_no_objective(tmp_path: Path) -> None:
    with FakeLLMServer([]) as listening:
        objective = {"name": METRIC, "direction": "maximize"}
        config = configure(tmp_path, listening, archive={"objectives": [objective]})
        with pytest.raises(ConfigError, match="can be no objective"):
            run(config, db=str(tmp_path / "evolve.db"))


def test_a_forecast_counts_grades_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    db = str(tmp_path / "evolve.db")

    def expected(**changes: Any) -> Forecast:
        return plan(load_run_config(configure(tmp_path, server, **changes)), db).forecast

    with FakeLLMServer(Server(seven)) as server:
        without, graded = expected(grades=[]), expected()
        options = {"mends": 0, "verifier": "openai/judge"}
        checked = expected(proposers=[{"kind": "diff", "options": options}])
        written = expected(instructions={"every": 2})
        for name in ("calls", "tokens", "cost_usd"):
            less, more, most, lots = (
                getattr(each, name).middle for each in (without, graded, checked, written)
            )
            assert less < more < most
            assert more < lots
        assert "grades by openai/judge are counted" in graded.sources
        assert "checks by openai/judge are counted" in checked.sources
        assert "instructions by openai/writer are counted" in written.sources
        stop = {"evaluations": 12}
        run(load_run_config(configure(tmp_path, server, stop=stop)), db=db)
        later, of_writer = expected(stop=stop), expected(stop=stop, grades=[])
    with open_reader(db) as reader:
        came, record = actual_of(reader, reader.run()), reader.run()
        past = reader.past_grades(record.problem_hash, "openai/judge")
        assert past is not None
        assert past[:3] == (1.0, 300.0, 15.0)
        known = reader.past_calls("openai/writer")
        assert known is not None
        assert (known.calls, known.output) == (11, 20.0)
    for forecast in (later, expected_of(record)):
        assert forecast is not None
        assert came["calls"] is not None
        assert forecast.calls.low * 0.98 <= came["calls"] <= forecast.calls.high * 1.02
    assert came["tokens"] is not None
    assert later.tokens.low * 0.98 <= came["tokens"] <= later.tokens.high * 1.02
    assert any("had 1 grades of 300 tokens in and 15 out" in text for text in later.sources)
    assert of_writer.calls.high < later.calls.low, "earlier grades are none of the writer's calls"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kill", [False, True])
def test_of_several_controllers_one_asks_for_a_grade(tmp_path: Path, kill: bool) -> None:
    """What a killed one had paid for is used by who takes its programs over."""
    evaluator = dedent(PROBLEM["evaluate.py"]) + TOGETHER
    place = write_problem(tmp_path / "parabola", evaluate=evaluator)
    server, db = Server(seven), str(tmp_path / "evolve.db")
    changes = {"order": "arrival", "slots": 2, "proposals": 3, "stop": {"evaluations": 100}}
    with FakeLLMServer(server) as listening:
        config = configure(tmp_path, listening, **changes)
        for each in begin(place, config, 2, db, kill=kill):
            each.end()
    check_database(tmp_path / "evolve.db", 100)
    with open_reader(db) as reader:
        assert metrics(reader) == [None, *[7.0] * 99], "whoever evaluated them"
    graded = "SELECT count(*) FROM completions WHERE model = 'openai/judge' AND state = 'received'"
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute(graded).fetchone() == (99,)
    assert kill or len(server.graded) == 99
