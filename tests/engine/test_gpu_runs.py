"""Programs on a real GPU: what they may hold, and what they leave behind. Needs CuPy."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.core.errors import EvolveError
from evolve.core.evaluation import Outcome
from evolve.engine.run import run
from evolve.engine.single import evaluate_file

pytestmark = pytest.mark.gpu

PROBLEM = """\
title: Memory of a GPU
seed_program: seed.py
entrypoint: f
evaluator: ./evaluate.py:Mine
objective: {name: value, direction: maximize}
measures: [{name: code_length, low: 0, high: 1000}]
limits: {wall_s: 30, memory_mb: 8000, gpus: 1, gpu_memory_mb: 3000}
"""
EVALUATE = """
from evolve import Case, Evaluator, Score

class Mine(Evaluator):
    def cases(self, stage):
        yield Case({"mb": 1000})

    def score(self, case, output, usage):
        return Score(float(output))
"""
HOLDS = """
import cupy as cp
import time

def f(mb):
    held = cp.ones(MORE * mb * 2**20 // 4, cp.float32)
    total = float(held[:100].sum())
    time.sleep(WAIT)
    return total
"""
#: A child in a session of its own that would keep memory on the device for a minute.
LEAVES = """
import os, time

def f(mb):
    ready, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        import cupy as cp
        held = cp.ones(mb * 2**20 // 4, cp.float32)
        cp.cuda.Device().synchronize()
        os.write(write, b"1")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    return 1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("cupy")
    (tmp_path / "problem.yaml").write_text(PROBLEM)
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    (tmp_path / "prompt.md").write_text("Hold memory.\n")
    (tmp_path / "seed.py").write_text(program(HOLDS, more=1, wait=0))
    return tmp_path


def program(source: str, more: int = 1, wait: float = 0) -> str:
    block = source.replace("MORE", str(more)).replace("WAIT", str(wait))
    return f"# EVOLVE-BLOCK-START{block}# EVOLVE-BLOCK-END\n"


def test_memory_beyond_the_limit_ends_a_program(folder: Path) -> None:
    (folder / "much.py").write_text(program(HOLDS, more=8, wait=5))
    much = evaluate_file(str(folder), folder / "much.py")
    assert much.outcome is Outcome.OUT_OF_MEMORY, much.message
    fits = evaluate_file(str(folder), folder / "seed.py")
    assert (fits.outcome, fits.score and fits.score.objective) == (Outcome.OK, 100.0)


def test_what_a_program_leaves_on_a_device_goes_with_it(folder: Path) -> None:
    (folder / "leaves.py").write_text(program(LEAVES))
    for _ in range(2):
        left = evaluate_file(str(folder), folder / "leaves.py")
        assert left.outcome is Outcome.OK, left.message
        fits = evaluate_file(str(folder), folder / "seed.py")
        assert fits.outcome is Outcome.OK, fits.message


def test_a_second_slot_needs_a_second_device(folder: Path) -> None:
    config = {
        "problem": str(folder),
        "sandbox": {"kind": "process"},
        "proposers": [{"kind": "genetic"}],
        "stop": {"evaluations": 3},
        "slots": 65,
    }
    with pytest.raises(EvolveError, match="GPU"):
        run(config, db=str(folder / "evolve.db"))
