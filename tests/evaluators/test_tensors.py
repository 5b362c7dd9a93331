"""Algorithms for small matrix products: published ranks, and what is not exact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve import Case, Invalid, Score, Usage
from evolve.config.python_file import load_module
from tests.evaluators.published import published

ROOT = Path(__file__).parents[2]
tensors: Any = load_module(ROOT / "evaluators/tensors.py")
seed: Any = load_module(ROOT / "problems/matrix_multiplication/seed.py")

#: Strassen, "Gaussian elimination is not optimal", Numerische Mathematik 13 (1969).
STRASSEN = [
    [[1, 0, 1, 0, 1, -1, 0], [0, 0, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 1, 0], [1, 1, 0, 1, 0, 0, -1]],
    [[1, 1, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0, 1], [1, 0, -1, 0, 1, 0, 1]],
    [[1, 0, 0, 1, -1, 0, 1], [0, 1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0], [1, -1, 1, 0, 0, 1, 0]],
]


def score(output: Any, size: str = "2x2x2", best: int = 7) -> Score:
    evaluator = tensors.MatrixMultiplication({size: best})
    (case,) = evaluator.cases("search")
    result = evaluator.score(case, output, Usage())
    assert isinstance(result, Score)
    return result


@pytest.mark.parametrize(
    ("size", "rank", "kind"),
    [
        ("245", 32, "half"),
        ("247", 45, "whole"),
        ("248", 51, "whole"),
        ("256", 47, "whole"),
        ("333", 23, "whole"),
        ("346", 54, "half"),
        ("348", 74, "whole"),
        ("356", 68, "whole"),
        ("357", 80, "whole"),
        ("444", 48, "Gaussian"),
        ("445", 61, "whole"),
        ("447", 85, "whole"),
        ("456", 90, "whole"),
        ("555", 93, "whole"),
    ],
)
def test_published_decompositions_hold_exactly(size: str, rank: int, kind: str) -> None:
    factors = published(f"tensor_{size}_alphaevolve1")["factors"]
    if kind == "Gaussian":
        factors = [
            np.array([[complex(entry["re"], entry["im"]) for entry in row] for row in factor])
            for factor in factors
        ]
    found = score(factors, "x".join(size), rank)
    assert found.objective == 1.0
    assert found.metrics == {f"rank_{'x'.join(size)}": rank}
    assert kind in found.feedback


def test_strassen_needs_seven() -> None:
    found = score(STRASSEN)
    assert found.objective == 1.0
    assert found.measures == {"nonzero_share": 36 / 84, "fractional_share": 0.0}


def test_the_definition_of_the_product_is_right_for_every_size() -> None:
    for n, m, p in ((1, 1, 1), (2, 3, 4), (4, 3, 2), (5, 1, 2)):
        found = score(seed.decompose(n, m, p), f"{n}x{m}x{p}", n * m * p)
        assert found.objective == 1.0


def test_half_integers_and_complex_arrays_are_read_exactly() -> None:
    u, v, w = (np.array(factor, dtype=float) for factor in STRASSEN)
    assert score([u / 2, v * 2, w]).objective == 1.0
    assert score([u * 1j, v * -1j, w.astype(complex)]).objective == 1.0
    assert score([u * 1j, v * -1j, w]).measures["fractional_share"] == 0.0
    assert score([u * (1 + 1j), v * (0.5 - 0.5j), w]).objective == 1.0


@pytest.mark.parametrize("change", [1e-12, 1e-9, 0.25, 0.1])
def test_nothing_is_rounded(change: float) -> None:
    factors = [np.array(factor, dtype=float) for factor in STRASSEN]
    factors[1][2, 3] += change
    with pytest.raises(Invalid, match=r"V\[2, 3\] is 1\.?\d*, must be a multiple of 1/2"):
        score(factors)
    with pytest.raises(Invalid, match="must be a multiple of 1/2"):
        score([factor.astype(complex) * 1j for factor in factors])


def test_a_wrong_entry_is_found_and_measured() -> None:
    factors = [np.array(factor, dtype=float) for factor in STRASSEN]
    factors[2][3, 6] = 1.0
    with pytest.raises(Invalid, match=r"4 of 64 equations do not hold, .* errors is 2"):
        score(factors)
    with pytest.raises(Invalid, match="equations do not hold"):
        score([factor[:, :6] for factor in factors])
    with pytest.raises(Invalid, match="equations do not hold"):
        score([1j * np.array(factor) for factor in STRASSEN])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([[], [], []], "U must be 4 rows of 1 to 1000 numbers"),
        ([[[]] * 4] * 3, "U must be 4 rows of 1 to 1000 numbers"),
        (STRASSEN[:2], "wanted the three matrices U, V, W, not 2 things"),
        ({"U": STRASSEN[0]}, "not a dict"),
        (np.zeros((3, 4)), r"not an array of shape \(3, 4\)"),
        ([STRASSEN[0][:3], *STRASSEN[1:]], "U: there are 3 rows, must be 4"),
        ([*STRASSEN[:2], [row[:6] for row in STRASSEN[2]]], r"have \[7, 7, 6\] columns"),
        ([np.full((4, 7), math.nan)] * 3, "U: row 0: 0 is nan"),
        ([np.full((4, 7), 1e300)] * 3, r"U: row 0: 0 is 1e\+300, must be between -64 and 64"),
        ([np.full((4, 7), complex(0, math.inf))] * 3, "U: row 0: 0 is inf"),
        ([np.ones((4, 7), dtype=bool)] * 3, "not an array of bool"),
        ([np.ones((4, 5000))] * 3, "1 to 1000 numbers"),
        ([[["1"] * 7] * 4] * 3, "U: row 0: 0 is a str"),
    ],
)
def test_what_is_no_decomposition_is_refused(output: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        score(output)


def test_sizes_are_the_evaluators() -> None:
    evaluator = tensors.MatrixMultiplication({"2x3x4": 20}, held_out={"1x1x1": 1})
    assert [case.inputs for case in evaluator.cases("search")] == [{"n": 2, "m": 3, "p": 4}]
    assert [case.name for case in evaluator.cases("held_out")] == ["1x1x1"]
    (case,) = evaluator.cases("search")
    one = np.ones((1, 1))
    with pytest.raises(Invalid, match="U: there are 1 rows, must be 6"):
        evaluator.score(case, [one, one, one], Usage())
    with pytest.raises(ValueError, match="no size; write it as 3x4x5"):
        tensors.MatrixMultiplication({"2x3": 1})
    assert evaluator.combine([(case, Score(1.5)), (Case({}), Score(1.0))]).objective == 1.25
