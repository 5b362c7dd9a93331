"""Forces between all pairs: what is right, what is refused, and a search on a real GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evolve import Case, Invalid, Usage
from evolve.config.problem import load_problem
from evolve.config.python_file import load_module
from evolve.engine.run import run
from evolve.engine.single import evaluate_file

forces: Any = load_module(Path(__file__).parents[2] / "evaluators/forces.py")
EVALUATOR = forces.PairForces(sizes=(300, 400), held_out=(50,))


def right(case: Case) -> NDArray[np.float32]:
    x, m = (np.asarray(case.inputs[name], np.float64) for name in ("positions", "masses"))
    apart = x[None, :, :] - x[:, None, :]
    squared = (apart**2).sum(axis=2) + 1e-4
    pairs: NDArray[np.float64] = (m[:, None] * m[None, :] / squared**1.5)[:, :, None] * apart
    total: NDArray[np.float32] = pairs.sum(axis=1).astype(np.float32)
    return total


def test_right_forces_score_the_time_of_a_pair() -> None:
    warm_up, *cases = EVALUATOR.cases("search")
    assert [len(case.inputs["masses"]) for case in cases] == [300, 400]
    assert not np.array_equal(warm_up.inputs["masses"], cases[0].inputs["masses"]), "other data"
    times = 90_000, 40_000  # ns: 1000 and 250 ps a pair
    scored = [
        (case, EVALUATOR.score(case, right(case), Usage(wall_ns=time)))
        for case, time in zip(cases, times, strict=True)
    ]
    assert [score.objective for _, score in scored] == pytest.approx([1000, 250])
    together = EVALUATOR.combine(scored)
    assert together.objective == pytest.approx(500)
    assert -9 < together.measures["log10_error"] < -6


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda found: found.astype(np.float64), "float32"),
        (lambda found: found.tolist(), "float32"),
        (lambda found: found[:-1], "shape"),
        (lambda found: found * np.float32(1.01), "off by"),
        (lambda found: -found, "off by"),
        (lambda found: np.full_like(found, np.nan), "off by nan"),
        (lambda found: np.zeros_like(found), "off by"),
    ],
)
def test_anything_else_is_refused(spoil: Any, why: str) -> None:
    case = list(EVALUATOR.cases("search"))[1]
    with pytest.raises(Invalid, match=why):
        EVALUATOR.score(case, spoil(right(case)), Usage(wall_ns=1))


def test_who_knows_what_is_checked_of_one_output_cannot_leave_out_the_rest() -> None:
    case = list(EVALUATOR.cases("search"))[1]
    found = right(case)
    lazy = np.zeros_like(found)
    lazy[forces.sample(found)] = found[forces.sample(found)]
    assert case.secret is None
    with pytest.raises(Invalid, match="off by"):
        EVALUATOR.score(case, lazy, Usage(wall_ns=1))


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="two bodies"):
        forces.PairForces(sizes=(1,))


@pytest.mark.gpu
def test_a_search_on_a_gpu(tmp_path: Path) -> None:
    tiles = load_problem("pair_forces").folder / "tiles.py"
    baseline = evaluate_file("pair_forces", tiles)
    assert baseline.score is not None, baseline.message
    config = {
        "problem": "pair_forces",
        "sandbox": {"kind": "process"},
        "proposers": [{"kind": "tune"}],
        "slots": 1,
        "stop": {"evaluations": 6},
        "seed": 1,
    }
    result = run(config, db=str(tmp_path / "evolve.db"))
    assert result.progress.evaluations == 6
    assert result.best.evaluation.score is not None
    assert 0.1 < result.best.evaluation.score.objective < 1000
