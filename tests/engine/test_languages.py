"""The bundled C++ problem, searched by a scripted model: programs of several files, compiled."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from evolve.config.bundled import bundled
from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError
from evolve.core.evaluation import Outcome
from evolve.engine.run import run
from evolve.engine.single import evaluate_file
from evolve.store.reader import open_reader
from tests.fake_llm_server import Call, FakeLLMServer, Reply

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

TWO_OPT = (bundled("problems") / "tsp_cpp" / "two_opt" / "tour.hpp").read_text()
LOOP = re.search(r"    for \(bool better.*?\n    }\n(?=    return tour;)", TWO_OPT, re.DOTALL)


def hunk(path: str, old: str, new: str) -> Reply:
    return Reply(f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n")


class Writer:
    """Proposes what does not compile, what is not allowed, what crashes, and then 2-opt."""

    def __init__(self) -> None:
        assert LOOP is not None
        end = "    return tour;"
        self.prompts: list[str] = []
        self._replies = [
            hunk("tour.hpp", end, "    return tuor;"),
            hunk("main.cpp", '    std::printf("]\\n");', '    std::printf("]");'),
            hunk("tour.hpp", end, "    std::abort();"),
            hunk("tour.hpp", end, "    tour.pop_back();\n" + end),
            hunk("tour.hpp", end, LOOP[0] + end),
        ]

    def __call__(self, call: Call) -> Reply:
        self.prompts.append(call.prompt)
        return self._replies[min(len(self.prompts), len(self._replies)) - 1]


@pytest.mark.parametrize(
    "sandbox",
    [
        pytest.param({"kind": "process", "allow_untrusted": True}, marks=pytest.mark.slow),
        pytest.param({"kind": "docker"}, marks=pytest.mark.docker),
    ],
    ids=["process", "docker"],
)
def test_a_model_improves_a_cpp_program_of_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: dict[str, Any]
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test")
    writer, db = Writer(), tmp_path / "run.db"
    with FakeLLMServer(writer) as server:
        model = {"id": "openai/x", "base_url": server.openai_url, "api_key_env": "TEST_KEY"}
        config = {
            "problem": "tsp_cpp",
            "slots": 1,
            "proposals": 1,
            "models": [{**model, "concurrency": 1}],
            "proposers": [{"kind": "diff"}],
            "sandbox": sandbox,
            "selection": {"kind": "rank"},
            "stop": {"evaluations": 5},
        }
        result = run(config, db=str(db))
    best = result.best.evaluation.score
    assert best is not None
    assert best.objective == pytest.approx(13.887402141770261)
    assert best.measures["code_length"] > 1000
    assert LOOP is not None
    assert LOOP[0] in result.best.program.files["tour.hpp"]
    assert "g++ -O2 -std=c++17 -o program main.cpp" in writer.prompts[0]
    with open_reader(str(db)) as reader:
        totals = reader.totals(1)
        assert totals.evaluations == {
            Outcome.OK: 2,
            Outcome.EXCEPTION: 1,
            Outcome.SIGNAL: 1,
            Outcome.INVALID: 1,
        }
        assert "changes lines outside of the evolve blocks" in writer.prompts[2]  # asked again
        assert len(writer.prompts) == 5
        messages = [failure.example for failure in reader.failures(1)]
        assert any("the build ended with status 1" in text and "tuor" in text for text in messages)


def test_the_genetic_operator_is_refused(tmp_path: Path) -> None:
    config = {
        "problem": "tsp_cpp",
        "proposers": [{"kind": "genetic"}],
        "stop": {"evaluations": 5},
    }
    with pytest.raises(ConfigError, match="the genetic operator edits Python"):
        run(config, db=str(tmp_path / "run.db"))


@pytest.mark.slow
def test_the_seed_program_and_the_baseline_score_what_the_readme_says() -> None:
    folder = load_problem("tsp_cpp").folder
    for name, excess in (("nearest_neighbour", 31.59), ("two_opt", 13.89)):
        score = evaluate_file("tsp_cpp", folder / name).score
        assert score is not None
        assert score.objective == pytest.approx(excess, abs=0.005)
        assert f"| {excess} |" in (folder / "README.md").read_text()
