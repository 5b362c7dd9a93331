"""Run by `pytest` in this folder."""

import numpy as np
import pytest
from evaluate import Softmax, exact

from evolve import Invalid, Usage

CASE = next(iter(Softmax().cases("search")))
RIGHT = exact(CASE.inputs["x"]).astype(np.float32)


def test_a_right_answer_scores_its_time() -> None:
    score = Softmax().score(CASE, RIGHT, Usage(wall_ns=RIGHT.size * 3))
    assert score.objective == 3.0
    assert score.measures["log10_error"] < -7


@pytest.mark.parametrize(
    "bad", [None, RIGHT.tolist(), RIGHT[:-1], RIGHT.astype(float), RIGHT * np.nan, RIGHT + 2e-5]
)
def test_anything_else_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        Softmax().score(CASE, bad, Usage())
