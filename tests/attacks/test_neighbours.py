"""Three programs, unmodified, through other projects' own interfaces, and through ours.

There, each forges a score or runs its code where it should not. The projects come from the package
index at a pinned version, each into an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from evolve.config.problem import load_problem
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.sandbox.base import Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.process import ProcessSandbox

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

PICKLE = """
import os
class Bomb:
    def __reduce__(self):
        return os.system, ("echo in process $PPID > MARK",)
def solve():
    return Bomb()
"""

RESULT_FILES = """
import json, os, sys
def solve(seed=0):
    folder = sys.argv[-1] if os.path.isdir(sys.argv[-1]) else "."
    for name, content in (
        ("metrics.json", {"combined_score": 1e9}),
        ("correct.json", {"correct": True, "error": None}),
    ):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(content, file)
    os._exit(0)
"""

SCORER = """
import sys
for module in list(sys.modules.values()):
    if hasattr(module, "judge"):
        module.judge = lambda output: 1e9
def solve():
    return 0.5
"""

#: How each project is asked to evaluate a program, as its documentation says.
GEPA = """
import os, sys
from gepa.utils.code_execution import ExecutionMode, execute_code
print(os.getpid())
code = open(sys.argv[1]).read()
execute_code(code, mode=ExecutionMode.SUBPROCESS, entry_point="solve", timeout=30)
"""

# The package imports every vendor's client and more; the part that evaluates needs none of them.
SHINKA_EVALUATOR = """
import os, sys, types
import shinka
for name in ("core", "utils"):
    package = sys.modules[f"shinka.{name}"] = types.ModuleType(f"shinka.{name}")
    package.__path__ = [os.path.join(shinka.__path__[0], name)]
from shinka.core.wrap_eval import run_shinka_eval
run_shinka_eval(
    program_path=sys.argv[1],
    results_dir=sys.argv[2],
    experiment_fn_name="solve",
    num_runs=1,
    validate_fn=lambda result: (isinstance(result, float), None),
    aggregate_metrics_fn=lambda results: {"combined_score": float(results[0])},
)
"""

OPENEVOLVE_EVALUATOR = """
import importlib.util
def judge(output):
    return output
def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return {"combined_score": judge(program.solve())}
"""

OPENEVOLVE = """
import asyncio, json, sys
from openevolve.config import EvaluatorConfig
from openevolve.evaluator import Evaluator
evaluator = Evaluator(EvaluatorConfig(cascade_evaluation=False), sys.argv[1])
for path in sys.argv[2:]:
    score = asyncio.run(evaluator.evaluate_program(open(path).read()))
    print(json.dumps(score["combined_score"]))
"""

HONEST = "def solve():\n    return 0.25\n"

Python = Callable[..., Path]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Make an environment with some packages in it and return its Python."""

    def make(*requirements: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        run(sys.executable, "-m", "venv", str(folder))
        python = folder / "bin" / "python"
        for requirement in requirements:
            options = ["--no-deps"] if requirement.startswith("shinka") else []
            done = subprocess.run(
                [python, "-m", "pip", "install", "-q", *options, requirement],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode and "No matching distribution" in done.stderr:
                pytest.skip(f"{requirement} is not to be had here")
            assert done.returncode == 0, done.stderr
        return python

    return make


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_pickle_in_the_result_runs_in_the_caller(environment: Python, tmp_path: Path) -> None:
    python = environment("gepa==0.1.4")
    mark = tmp_path / "mark"
    program = written(tmp_path, "program.py", PICKLE.replace("MARK", str(mark)))
    caller = run(python, written(tmp_path, "caller.py", GEPA), program).split()[0]
    assert mark.read_text() == f"in process {caller}\n"


def test_result_files_and_an_early_exit_are_taken_for_a_score(
    environment: Python, tmp_path: Path
) -> None:
    python = environment("numpy", "python-dotenv", "shinka-evolve==0.0.7")
    evaluator = written(tmp_path, "evaluate.py", SHINKA_EVALUATOR)
    scores = {}
    for name, text in (("honest", HONEST.replace("()", "(seed)")), ("hostile", RESULT_FILES)):
        program, results = written(tmp_path, f"{name}.py", text), tmp_path / name
        results.mkdir()
        run(python, evaluator, program, results)
        assert json.loads((results / "correct.json").read_text())["correct"]
        scores[name] = json.loads((results / "metrics.json").read_text())["combined_score"]
    assert scores == {"honest": 0.25, "hostile": 1e9}


def test_a_rewritten_scorer_judges_the_next_program_too(
    environment: Python, tmp_path: Path
) -> None:
    python = environment("openevolve==0.4.1")
    evaluator = written(tmp_path, "evaluator.py", OPENEVOLVE_EVALUATOR)
    honest = written(tmp_path, "honest.py", HONEST)
    hostile = written(tmp_path, "hostile.py", SCORER)
    caller = written(tmp_path, "caller.py", OPENEVOLVE)
    printed = run(python, caller, evaluator, honest, hostile, honest)
    assert [json.loads(line) for line in printed.splitlines()[-3:]] == [0.25, 1e9, 1e9]


# Here.

_PROBLEM = """\
title: A number
seed_program: seed.py
entrypoint: solve
evaluator: ./evaluate.py:Number
objective: {name: value, direction: maximize}
measures: [{name: code_length, low: 0, high: 1000}]
"""
_EVALUATOR = """\
from evolve import Case, Evaluator, Invalid, Score

def judge(output):
    return output

class Number(Evaluator):
    def cases(self, stage):
        return [Case({})] if stage == "search" else []

    def score(self, case, output, usage):
        if not isinstance(output, float):
            raise Invalid("not a number")
        return Score(judge(output))
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(
    scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)]
)
async def slot(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Slot]:
    sandbox: Sandbox = DockerSandbox() if request.param == "docker" else ProcessSandbox()
    opened = await sandbox.open_slot(0, Limits())
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.fixture(scope="module")
async def evaluate(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[EvaluationService]:
    folder = tmp_path_factory.mktemp("problem")
    written(folder, "problem.yaml", _PROBLEM)
    written(folder, "prompt.md", "Return a number.\n")
    written(folder, "seed.py", HONEST)
    written(folder, "evaluate.py", _EVALUATOR)
    async with open_evaluation(load_problem(str(folder))) as service:
        yield service


@pytest.mark.parametrize(
    ("text", "outcome", "objective"),
    [
        (PICKLE, Outcome.BAD_OUTPUT, None),
        (RESULT_FILES, Outcome.EXIT, None),
        (SCORER, Outcome.OK, 0.5),  # what it returned, and no more
    ],
    ids=["pickle", "result files", "scorer"],
)
async def test_the_same_programs_are_contained_here(
    slot: Slot,
    evaluate: EvaluationService,
    tmp_path: Path,
    text: str,
    outcome: Outcome,
    objective: float | None,
) -> None:
    mark = tmp_path / "mark"
    evaluation = await evaluate(slot, Program({"program.py": text.replace("MARK", str(mark))}))
    assert evaluation.outcome is outcome, evaluation.message
    assert (evaluation.score.objective if evaluation.score else None) == objective
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing waits
    evaluation = await evaluate(slot, Program({"program.py": HONEST}))
    assert evaluation.score is not None
    assert evaluation.score.objective == 0.25
